-- Writes that a batch makes over and over are collected, and made as one call for each key: a call
-- costs more than what it does. Every script that includes this ends with `flush`; whoever reads
-- what may be among the collected writes calls it before.
local WRITES_AT_ONCE = 1000
local pending, touched = {}, {}

local function defer(command, key, first, second)
  local keys = pending[command]
  if not keys then
    keys = {}
    pending[command] = keys
  end
  local arguments = keys[key]
  if not arguments then
    arguments = {}
    keys[key] = arguments
  end
  arguments[#arguments + 1] = first
  arguments[#arguments + 1] = second
end

local function flush()
  for command, keys in pairs(pending) do
    for key, arguments in pairs(keys) do
      for first = 1, #arguments, WRITES_AT_ONCE do
        local last = math.min(first + WRITES_AT_ONCE - 1, #arguments)
        redis.call(command, key, unpack(arguments, first, last))
      end
    end
  end
  pending, touched = {}, {}
end

-- A job that the same batch has handled before is read as that left it.
local function touch(id)
  if touched[id] then
    flush()
  end
  touched[id] = true
end
