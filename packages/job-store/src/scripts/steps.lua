-- Takes several steps one after the other, as one: each is another script, or a plain command. Where a
-- step's outcome, which is its reply or the first of it, is none of those named, those behind it are
-- left out. An error ends it, and what the steps before have written stays; where there are such, their
-- replies are returned, and the error is the last of them.
--
-- Before this stands `STEPS`: the scripts that are called, as functions of their KEYS and ARGV.
--
-- KEYS  those of all steps
-- ARGV  of each step: 1 the script or command, 2 number of its keys, 3 number of its arguments, 4 the
--       outcomes behind which it goes on, each between two spaces, or '' for any; then the arguments
-- RETURN the replies of the steps that were taken

local replies, key, at = {}, 1, 1
while at <= #ARGV do
  local name, key_count, arg_count, go_on = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
  local done, reply
  if STEPS[name] then
    done, reply = pcall(STEPS[name], slice(KEYS, key, key_count), slice(ARGV, at + 4, arg_count))
  elseif key_count == 1 and arg_count == 1 then
    done, reply = pcall(redis.call, name, KEYS[key], ARGV[at + 4])
  else
    local words = slice(KEYS, key, key_count)
    for i = at + 4, at + 3 + arg_count do
      words[#words + 1] = ARGV[i]
    end
    done, reply = pcall(redis.call, name, unpack(words))
  end
  key, at = key + key_count, at + 4 + arg_count
  if not done and type(reply) ~= 'table' then
    local message = tostring(reply)
    -- One of Redis begins with its code; one of Lua has none.
    reply = { err = string.find(message, '^%u+ ') and message or 'ERR ' .. message }
  end
  if type(reply) == 'table' and reply.err then
    if #replies == 0 then
      return reply
    end
    replies[#replies + 1] = reply
    break
  end
  -- A list of replies ends at the first that is nothing.
  replies[#replies + 1] = reply or false
  if go_on ~= '' then
    local outcome = type(reply) == 'table' and reply[1] or reply
    if not string.find(go_on, ' ' .. tostring(outcome) .. ' ', 1, true) then
      break
    end
  end
end
return replies
