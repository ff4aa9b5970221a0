-- What a running job told of itself, in the state's field `progress` (`journal.py` reads the same):
-- when and as which number it told its latest progress; how many reports there were, how many
-- lines of the log are kept, and their bytes; then the progress.
-- include: telling
local REPORTS_FORMAT = '>I6I8I3I2I4'
local REPORTS_SIZE = 23

local function read_reports(s)
  if s.progress == '' then
    return { at = 0, seq = 0, count = 0, lines = 0, bytes = 0, progress = '' }
  end
  local at, seq, count, lines, bytes = struct.unpack(REPORTS_FORMAT, s.progress)
  return {
    at = at, seq = seq, count = count, lines = lines, bytes = bytes,
    progress = string.sub(s.progress, REPORTS_SIZE + 1),
  }
end

local function write_reports(s, reports)
  s.progress = struct.pack(REPORTS_FORMAT, reports.at, reports.seq, reports.count, reports.lines,
    reports.bytes) .. reports.progress
end

local function has_log(s)
  return s.progress ~= '' and struct.unpack('>I2', s.progress, 18) > 0
end
