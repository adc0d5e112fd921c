-- Stands before the scripts of batches: what they share.
--
-- Whoever writes for a batch as its runner names the epoch of its lease, and is refused unless it is
-- the one that has opened the batch last.
--
-- KEYS  1 record (hash), 2 done: a bit for each line that has a durable outcome, 3 segments (list),
--       4 open: lines whose jobs have not ended (set), 5 ended: lines whose jobs have ended or were
--       deleted, without a durable outcome (set), 6 committed: lines that have one, whose jobs are still
--       to be forgotten (set)

local OVER = { completed = true, failed = true, expired = true, cancelled = true }
-- Redis takes no more arguments at once than some thousand.
local ARGUMENTS_MAX = 1000

-- Why a runner may not write, or nil; and the state.
local function refusal(epoch)
  local record = redis.call('HMGET', KEYS[1], 'state', 'epoch')
  if not record[1] then
    return 'gone'
  end
  if tonumber(record[2]) ~= tonumber(epoch) then
    return 'fenced'
  end
  return nil, record[1]
end

local function become(state)
  redis.call('HSET', KEYS[1], 'state', state, state .. '_at', now_ms())
end

-- Of a batch that was not validated, too: there are none.
local function has_all_outcomes()
  local counts = redis.call('HMGET', KEYS[1], 'total', 'completed', 'failed')
  return tonumber(counts[2]) + tonumber(counts[3]) == tonumber(counts[1])
end

-- What is over is kept for a while, with what tells of its results.
local function conclude_batch(state)
  become(state)
  local kept_ms = redis.call('HGET', KEYS[1], 'output_kept_ms')
  redis.call('DEL', KEYS[2], KEYS[4], KEYS[5])
  for _, i in ipairs({ 1, 3, 6 }) do
    redis.call('PEXPIRE', KEYS[i], kept_ms)
  end
end

-- Calls a command of a set with many members.
local function with_members(command, key, members)
  for from = 1, #members, ARGUMENTS_MAX do
    redis.call(command, key, unpack(members, from, math.min(#members, from + ARGUMENTS_MAX - 1)))
  end
end
