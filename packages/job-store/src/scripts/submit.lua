-- Writes a job with all that it takes in one step: what it takes of its key's limits, its place in its
-- tier, the indexes, the record and its first event, and the list of its owner or of its batch. Each of these is a
-- script of its own; on a cluster, where their keys are of several slots, they are called one by one.
--
-- Before this stands `STEPS`: those scripts, as functions of their KEYS and ARGV.
--
-- KEYS  1 job, 2 log, 3 open jobs, 4 deadlines, 5 to 12 the ledger of its tier, 13 its owner's open jobs,
--       or again the open jobs where it is in the list of no owner, then, where it is bound, the jobs
--       bound to its replica and the replicas, or, where it is a line's, the 6 of its batch, then, where its
--       key has limits, what that key holds
-- ARGV  1 the replica to which it is bound, or '', 2 its line, or '', 3 how many arguments of `quota-enter` follow, those,
--       then how many of `ledger-enter`, those, then the 5 of its tier's pace, see `place`, then those of
--       `create`, with the `queued` event but for its place and the last brace
-- RETURN {'late'}, {'over_quota', reply of quota-enter, {}}, {'full', reply of quota-enter or {}, of
--     ledger-enter}, or {'written', of quota-enter or {}, of ledger-enter, of create, the `queued` event,
--     position, wait in ms or -1, 1 if an index had it already: of a try before}

-- A replica that was seen so short a time ago need not be noted again.
local HEARTBEAT_MS = 1000

local at = 3
local function next_args(length)
  local part = slice(ARGV, at, length)
  at = at + length
  return part
end
local function counted_args()
  return next_args(tonumber(next_args(1)[1]))
end

local job_id, replica, line = nil, ARGV[1], ARGV[2]
local quota_args, ledger_args, pace = counted_args(), counted_args(), next_args(5)
local create_args = next_args(#ARGV - at + 1)
local is_bound, is_line = replica ~= '', line ~= ''

-- Whoever sent it has given up, and does not come to give back what it takes: see `create`.
if now_ms() > tonumber(create_args[2]) and redis.call('EXISTS', KEYS[1]) == 0 then
  return { 'late' }
end

local quota = {}
if #quota_args > 0 then
  quota = STEPS['quota-enter'](slice(KEYS, is_bound and 16 or is_line and 20 or 14, 4), quota_args)
  if quota[1] ~= 'entered' and quota[1] ~= 'known' then
    return { 'over_quota', quota, {} }
  end
end

local entered = STEPS['ledger-enter'](slice(KEYS, 5, 8), ledger_args)
if entered[1] ~= 'entered' then
  return { 'full', quota, entered }
end
local now = entered[3]

job_id = ledger_args[1]
local open = redis.call('ZADD', KEYS[3], 'NX', now, job_id)
local due = redis.call('ZADD', KEYS[4], 'NX', now + tonumber(create_args[1]), job_id)
if is_bound then
  redis.call('SADD', KEYS[14], job_id)
  -- Known before its first heartbeat: otherwise nobody would miss it.
  if now - (redis.call('ZSCORE', KEYS[15], replica) or 0) > HEARTBEAT_MS then
    redis.call('ZADD', KEYS[15], 'GT', now, replica)
  end
end

local asked = { ledger_args[2], entered[4], entered[5] }
for _, number in ipairs(pace) do
  asked[#asked + 1] = number
end
for i = 6, #entered do
  asked[#asked + 1] = entered[i]
end
local place = STEPS['place']({}, asked)
local wait = place[2] and string.format('%d', place[2])
create_args[3] = create_args[3] .. ',"position":' .. string.format('%d', place[1])
  .. ',"estimated_wait_ms":' .. (wait or 'null') .. '}'

local created = STEPS['create']({ KEYS[1], KEYS[2] }, create_args)
if created[1] == 'created' and KEYS[13] ~= KEYS[3] then
  redis.call('ZADD', KEYS[13], created[6], job_id)
end
if is_line and (created[1] == 'created' or created[1] == 'existed') then
  STEPS['batch-line'](slice(KEYS, 14, 6), { line, 'open' })
end
local is_retried = (open == 0 or due == 0) and 1 or 0
return { 'written', quota, entered, created, create_args[3], place[1], wait or '-1', is_retried }
