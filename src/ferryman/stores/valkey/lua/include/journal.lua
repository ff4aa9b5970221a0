-- A job's events. Each change of state goes through `change`, so none is without its event.
-- The first (`submitted`) follows from the specification and is not stored. Of a very long history
-- the first and the latest entries are kept: what happened at the start and what happens now.
-- include: telling
local JOURNAL_FIRST, JOURNAL_LIMIT = 10, 100
local ENTRY_SIZE = 18 -- of an entry without worker and detail, and without its own length

local function without_entry(journal, number)
  local at = 1
  for _ = 2, number do
    at = at + 2 + struct.unpack('>I2', journal, at)
  end
  local after = at + 2 + struct.unpack('>I2', journal, at)
  return string.sub(journal, 1, at - 1) .. string.sub(journal, after)
end

local function change(job, now, state, reason, detail)
  local s = job.s
  local worker = state == STATE.running and s.worker or ''
  local entry = struct.pack('>I2I6BBBI6Bc0I2c0', ENTRY_SIZE + #worker + #detail, now, s.state,
    state, reason, s.token, #worker, worker, #detail, detail)
  local source = s.state
  s.state, s.reason, s.detail, s.changes = state, reason, detail, s.changes + 1
  if s.changes > JOURNAL_LIMIT then
    s.journal = without_entry(s.journal, JOURNAL_FIRST + 1)
  end
  s.journal = s.journal .. entry
  if is_heard() then
    local holder = (source == STATE.running or state == STATE.running) and s.worker or ''
    tell(job, job.body_at, event(KIND.state, (s.changes + 1) * BETWEEN, now, source, state, reason,
      s.deliveries > 0 and s.token or 0, holder, detail))
  end
end
