-- One of those who were to write a job has not written it. Where nobody else was to, what the job holds
-- is given back.
--
-- ARGV  1 job id, 2 who has not written it
-- RETURN 1 if nothing is held any more

local held = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local taken, writers = string.match(held, '^(%d+ %d+)(.*)$')
local others = {}
for writer in string.gmatch(writers or '', '%S+') do
  if writer ~= ARGV[2] then
    others[#others + 1] = writer
  end
end
if #others == 0 then
  return settle(ARGV[1], 0, now_ms())
end
redis.call('HSET', KEYS[2], ARGV[1], taken .. ' ' .. table.concat(others, ' '))
return 0
