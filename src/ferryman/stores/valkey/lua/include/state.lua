-- What changes about a job, as one field of STATE (`records.py` reads the same layout).
-- `generation` counts how often the job entered a ready list (modulo 256): an entry of a list is
-- the id and that number, so entries that a cancelled or retried job left behind are told apart.
-- `out_state` and `out_reason` are the ending that the latest delivery was ended with, as its
-- worker asked for it: a repeated ending is known by them.
local STATE_FORMAT = '>BBBBBBBI6I3I3BI6I6I6I6I3Bc0I2c0I3c0I3c0I2c0I4c0I3c0'
local STATE_VERSION = 1

local function read_state(blob)
  local s, _ = {}, nil
  _, s.state, s.reason, s.generation, s.stop, s.out_state, s.out_reason,
    s.token, s.deliveries, s.attempts, s.kills, s.due, s.queued, s.started, s.finished, s.changes,
    s.worker, s.detail, s.failure, s.result, s.progress, s.checkpoint, s.journal =
    struct.unpack(STATE_FORMAT, blob)
  return s
end

local function write_state(s)
  return struct.pack(STATE_FORMAT,
    STATE_VERSION, s.state, s.reason, s.generation, s.stop, s.out_state, s.out_reason,
    s.token, s.deliveries, s.attempts, s.kills, s.due, s.queued, s.started, s.finished, s.changes,
    #s.worker, s.worker, #s.detail, s.detail, #s.failure, s.failure, #s.result, s.result,
    #s.progress, s.progress, #s.checkpoint, s.checkpoint, #s.journal, s.journal)
end

-- A job that has not changed since its submit. Its token counts on from the moment of its submit,
-- so that an id that is discarded and submitted anew never sees an old token again.
local function fresh_state(job)
  return {
    state = job.initial, reason = REASON.submitted, generation = 0, stop = 0,
    out_state = STATE.none, out_reason = 0, token = job.created, deliveries = 0, attempts = 0,
    kills = 0, due = job.due, queued = job.created, started = 0, finished = 0, changes = 0,
    worker = '', detail = '', failure = '', result = '', progress = '', checkpoint = '',
    journal = '',
  }
end
