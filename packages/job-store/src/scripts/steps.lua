-- Takes several steps one after the other, as one: each is another script, or a plain command. Where a
-- step's outcome, which is its reply or the first of it, is none of those named, those behind it are
-- left out. An error ends it, and what the steps before have written stays; where there are such, their
-- replies are returned, and the error is the last of them.
--
-- Before this stands `STEPS`: the scripts that are called, as functions of their KEYS and ARGV. Behind it
-- stands which steps are taken.
--
-- KEYS  those of all steps
-- ARGV  of each step its arguments, those of a script behind their number
-- RETURN the replies of the steps that were taken

local replies, failed, key, at = {}, nil, 1, 1

-- `arg_count` is nil for a script. `go_on` are the outcomes behind which it goes on, each between two
-- spaces, or nil for any. Returns whether it goes on.
local function take(name, key_count, arg_count, go_on)
  local done, reply
  if not arg_count then
    arg_count, at = tonumber(ARGV[at]), at + 1
    done, reply = pcall(STEPS[name], slice(KEYS, key, key_count), slice(ARGV, at, arg_count))
  elseif key_count == 1 and arg_count == 1 then
    done, reply = pcall(redis.call, name, KEYS[key], ARGV[at])
  else
    local words = slice(KEYS, key, key_count)
    for i = at, at + arg_count - 1 do
      words[#words + 1] = ARGV[i]
    end
    done, reply = pcall(redis.call, name, unpack(words))
  end
  key, at = key + key_count, at + arg_count
  if not done and type(reply) ~= 'table' then
    local message = tostring(reply)
    -- One of Redis begins with its code; one of Lua has none.
    reply = { err = string.find(message, '^%u+ ') and message or 'ERR ' .. message }
  end
  if type(reply) == 'table' and reply.err then
    if #replies == 0 then
      failed = reply
    end
    replies[#replies + 1] = reply
    return false
  end
  -- A list of replies ends at the first that is nothing.
  replies[#replies + 1] = reply or false
  if not go_on then
    return true
  end
  local outcome = type(reply) == 'table' and reply[1] or reply
  return string.find(go_on, ' ' .. tostring(outcome) .. ' ', 1, true) ~= nil
end
