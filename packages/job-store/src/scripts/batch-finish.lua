-- The files of a batch are durable: it is over. Saying it again is harmless.
--
-- ARGV  1 epoch, 2 output file or '', 3 error file or '', 4 what was lost of them (JSON) or ''
-- RETURN 'ok', 'gone', 'fenced' or 'conflict': it is not to end yet

local refused, state = refusal(ARGV[1])
if refused then
  return refused
end
if OVER[state] then
  return 'ok'
end
if (state ~= 'finalizing' and state ~= 'cancelling') or not has_all_outcomes() then
  return 'conflict'
end
redis.call('HSET', KEYS[1], 'output_file', ARGV[2], 'error_file', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'errors', ARGV[4])
  conclude_batch('failed')
elseif state == 'cancelling' then
  conclude_batch('cancelled')
elseif redis.call('HEXISTS', KEYS[1], 'expiring') == 1 then
  conclude_batch('expired')
else
  conclude_batch('completed')
end
return 'ok'
