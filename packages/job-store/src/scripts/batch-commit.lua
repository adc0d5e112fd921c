-- Makes the outcomes of some lines durable, all or none: the segment that holds them becomes part of the
-- batch. Sending the last call again is harmless.
--
-- ARGV  1 epoch, 2 segment (JSON), 3 number of its output lines, 4 of its error lines, 5 to 8 tokens of
--       prompts, of those cached ones, of completions, of those reasoning, 9.. lines
-- RETURN 'ok', 'gone', 'fenced' or 'conflict': one of the lines has an outcome, or is none of the batch

local refused, state = refusal(ARGV[1])
if refused then
  return refused
end
if redis.call('LINDEX', KEYS[3], -1) == ARGV[2] then
  return 'ok'
end
if OVER[state] then
  return 'conflict'
end
local total = tonumber(redis.call('HGET', KEYS[1], 'total'))
local lines, is_here = {}, {}
for i = 9, #ARGV do
  local line = ARGV[i]
  if is_here[line] or tonumber(line) >= total or redis.call('GETBIT', KEYS[2], line) == 1 then
    return 'conflict'
  end
  is_here[line] = true
  lines[#lines + 1] = line
end
if #lines == 0 or #lines ~= tonumber(ARGV[3]) + tonumber(ARGV[4]) then
  return 'conflict'
end

for _, line in ipairs(lines) do
  redis.call('SETBIT', KEYS[2], line, 1)
end
redis.call('RPUSH', KEYS[3], ARGV[2])
for i, name in ipairs({ 'completed', 'failed', 'prompt_tokens', 'cached_tokens', 'completion_tokens', 'reasoning_tokens' }) do
  redis.call('HINCRBY', KEYS[1], name, ARGV[2 + i])
end
with_members('SREM', KEYS[4], lines)
with_members('SREM', KEYS[5], lines)
with_members('SADD', KEYS[6], lines)
return 'ok'
