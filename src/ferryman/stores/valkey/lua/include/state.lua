-- What changes about a job, as one field of STATE (`records.py` reads the same layout).
-- `generation` counts how often the job entered a ready list, from its submit's moment on (modulo
-- 65536): an entry of a list is the id and that number, so what a cancelled, retried or discarded
-- job left behind in a list is told from the entry that counts.
-- `place` counts the jobs that were claimed from the queue: entries leave a list in its order, so
-- a job that goes back unfinished finds its old place by it; 0 is: not claimed since it queued up.
-- `out_state` and `out_reason` are the ending that the latest delivery was ended with, as its
-- worker asked for it: a repeated ending is known by them.
local STATE_FORMAT = '>BBBI2BBBI6I3I3BI6I6I6I6I6I3Bc0I2c0I3c0I3c0I2c0I4c0I3c0'
local STATE_VERSION = 1

local function read_state(blob)
  local _, state, reason, generation, stop, out_state, out_reason,
    token, deliveries, attempts, kills, due, queued, place, started, finished, changes,
    worker, detail, failure, result, progress, checkpoint, journal =
    struct.unpack(STATE_FORMAT, blob)
  return { -- at its full size at once, which is faster than one field after another
    state = state, reason = reason, generation = generation, stop = stop,
    out_state = out_state, out_reason = out_reason,
    token = token, deliveries = deliveries, attempts = attempts, kills = kills,
    due = due, queued = queued, place = place, started = started, finished = finished,
    changes = changes, worker = worker, detail = detail, failure = failure, result = result,
    progress = progress, checkpoint = checkpoint, journal = journal,
  }
end

local function write_state(s)
  return struct.pack(STATE_FORMAT,
    STATE_VERSION, s.state, s.reason, s.generation, s.stop, s.out_state, s.out_reason,
    s.token, s.deliveries, s.attempts, s.kills,
    s.due, s.queued, s.place, s.started, s.finished, s.changes,
    #s.worker, s.worker, #s.detail, s.detail, #s.failure, s.failure, #s.result, s.result,
    #s.progress, s.progress, #s.checkpoint, s.checkpoint, #s.journal, s.journal)
end

-- A job that has not changed since its submit. Its token counts on from the moment of its submit,
-- so that an id that is discarded and submitted anew never sees an old token again.
local function fresh_state(job)
  return {
    state = job.initial, reason = REASON.submitted, generation = job.created % 65536, stop = 0,
    out_state = STATE.none, out_reason = 0,
    token = job.created, deliveries = 0, attempts = 0, kills = 0,
    due = job.due, queued = job.created, place = 0, started = 0, finished = 0, changes = 0,
    worker = '', detail = '', failure = '', result = '', progress = '', checkpoint = '',
    journal = '',
  }
end
