-- Removes the note that a deletion has left, once there is nothing left to remove.
--
-- KEYS  1 job
-- RETURN 1 if there was one

if redis.call('HEXISTS', KEYS[1], 'deleted') == 0 then
  return 0
end
return redis.call('DEL', KEYS[1])
