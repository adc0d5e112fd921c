-- Stands before the scripts of the ledger: what they share.
--
-- The ledger of a tier has an entry for each job in its system, and counters. Counters change only
-- together with an entry, in one script, so they are what a count of the entries would give.
--
-- KEYS  1 entries (hash), 2 order of those that wait (sorted set), 3 counters (hash),
--       4 to 6 last tag by owner (hash) of interactive, standard and batch, 7 and 8 BullMQ's sorted
--       sets of entries that wait: of the foreground queue and of the batch queue
--
-- An entry is `<w|r> <class> <tokens> <1 if brought by fallback, or 0> <since when> <when it must be
-- started, or 0> <owner>`: it waits or runs.
--
-- Fair order in a class is start-time fair queueing with a cost of 1 (Goyal, Vin and Cheng, 1996): a
-- job's tag is one more than its owner's last, but not less than that of the job that was started
-- last. A job is ordered by its priority: the first of its class, one for jobs that come back, then
-- the tags.

local CLASSES = { 'interactive', 'standard', 'batch' }
-- BullMQ priorities go from 1 to 2^21 - 1, lower first, in each of its queues.
local FIRST = { interactive = 1, standard = 1000000, batch = 1 }
-- Between two classes' firsts, and in the order of all that waits.
local BAND = 1000000
local OFFSET = { interactive = 0, standard = 0, batch = 2 * BAND }
local TAG_MAX = BAND - 3
local TAGS = { interactive = KEYS[4], standard = KEYS[5], batch = KEYS[6] }
local QUEUE = { interactive = KEYS[7], standard = KEYS[7], batch = KEYS[8] }
-- BullMQ's score is priority * 2^32 + a counter.
local BULLMQ_PRIORITY = 4294967296
-- After so many starts of interactive jobs one is given to standard, if any waits; sooner, where the
-- first of those that wait has used up half of its time. What interactive jobs were promised a moment
-- ago by the larger share must bear the smaller one.
local STARTS_BEFORE_STANDARD = 9
local STARTS_BEFORE_LATE = 3
-- What arrives is averaged over a short and a long time, and the larger average counts: whoever promises
-- a time by what is left beside it must see a burst at once, and not forget it at once.
local ARRIVAL_MS = { 2500, 10000 }
-- Of waiting jobs, where nobody has said how many workers there are.
local ALERT_ABOVE = 15

-- Counters that were read or set, false for one that is not there. What is changed in them is written by
-- `save`, which ends every script that changes any.
local counters, changed = {}, {}

-- Reads these at once. Whoever asks for another reads that alone.
local function read(names)
  local found = redis.call('HMGET', KEYS[3], unpack(names))
  for i = 1, #names do
    counters[names[i]] = found[i]
  end
  return found
end

local function counter(name)
  if counters[name] == nil then
    counters[name] = redis.call('HGET', KEYS[3], name)
  end
  return counters[name]
end

local function count(name)
  return tonumber(counter(name) or 0)
end

-- `value` is a text or a whole number, or false to forget the counter.
local function set(name, value)
  if type(value) == 'number' then
    value = string.format('%d', value)
  end
  if counter(name) ~= value then
    counters[name] = value
    changed[name] = true
  end
end

local function add(name, by)
  if by ~= 0 then
    set(name, count(name) + by)
  end
end

local function save()
  local written, forgotten = {}, {}
  for name in pairs(changed) do
    if counters[name] then
      written[#written + 1] = name
      written[#written + 1] = counters[name]
    else
      forgotten[#forgotten + 1] = name
    end
  end
  if #written > 0 then
    redis.call('HSET', KEYS[3], unpack(written))
  end
  if #forgotten > 0 then
    redis.call('HDEL', KEYS[3], unpack(forgotten))
  end
end

local function parse(entry)
  local state, class, tokens, fallback, at, due, owner =
    string.match(entry, '^(%a) (%a+) (%d+) (%d) (%d+) (%d+) (.*)$')
  return { state = state, class = class, tokens = tonumber(tokens), fallback = tonumber(fallback),
    at = at, due = due, owner = owner }
end

local function write(job_id, entry)
  redis.call('HSET', KEYS[1], job_id, entry.state .. ' ' .. entry.class .. ' ' .. string.format('%d', entry.tokens)
    .. ' ' .. entry.fallback .. ' ' .. entry.at .. ' ' .. entry.due .. ' ' .. entry.owner)
end

-- Counts an entry in its state (`sign` 1) or out of it (-1).
local function tally(entry, sign)
  local name = entry.state .. ':' .. entry.class
  add(name .. ':jobs', sign)
  add(name .. ':tokens', sign * entry.tokens)
end

local function waiting(class)
  return count('w:' .. class .. ':jobs')
end

-- What a change of one that waits looks at.
local function read_waiting(class)
  read({ 'w:' .. class .. ':jobs', 'w:' .. class .. ':tokens', 'r:' .. class .. ':jobs', 'r:' .. class .. ':tokens',
    'w:interactive:jobs', 'w:standard:jobs', 'v:' .. class, 'alert', 'alert_above', 'before_standard' })
end

-- The alert is raised above the threshold and cleared at half of it. Batch work waits by design. To be
-- called where the threshold or the number of those that wait has changed.
local function alert()
  local above, jobs = tonumber(counter('alert_above') or ALERT_ABOVE), waiting('interactive') + waiting('standard')
  if jobs > above then
    set('alert', 1)
  elseif jobs <= above / 2 then
    set('alert', false)
  end
end

-- Where a job of this tag stands among all that waits.
local function score(class, tag)
  return OFFSET[class] + FIRST[class] + 1 + tag
end

-- After a waiting entry was taken out of the order.
local function left_order(class)
  if waiting(class) == 0 then
    redis.call('DEL', TAGS[class])
    set('v:' .. class, false)
  end
end

-- Cost of what has arrived until `at`, fading away over this time.
local function faded(cost, at, over_ms, now)
  return cost * math.exp((at - now) / over_ms)
end

local function arrived(class, tokens, now)
  local at = count('arrived_at:' .. class)
  for _, over_ms in ipairs(ARRIVAL_MS) do
    local name = 'arrived:' .. class .. ':' .. over_ms
    set(name, string.format('%.3f', faded(count(name), at, over_ms, now) + tokens))
  end
  set('arrived_at:' .. class, now)
end

-- Whether the first standard job that waits has used up half of its time.
local function standard_is_late(now)
  if waiting('standard') == 0 then
    return false
  end
  local from = FIRST.standard
  local head = redis.call('ZRANGEBYSCORE', KEYS[2], from, from + BAND - 1, 'LIMIT', 0, 1)[1]
  local found = head and redis.call('HGET', KEYS[1], head)
  local entry = found and parse(found)
  return entry and entry.due ~= '0' and 2 * now > entry.at + entry.due or false
end

-- {waiting jobs, waiting tokens, running jobs, running tokens, arriving tokens/s} of each class, then
-- the number of jobs that fallback has brought, 1 while the alert is up, 1 while standard is late. Reads
-- all counters of that.
local function load_now(now)
  local found = read({
    'w:interactive:jobs', 'w:interactive:tokens', 'r:interactive:jobs', 'r:interactive:tokens',
    'arrived_at:interactive', 'arrived:interactive:2500', 'arrived:interactive:10000',
    'w:standard:jobs', 'w:standard:tokens', 'r:standard:jobs', 'r:standard:tokens',
    'arrived_at:standard', 'arrived:standard:2500', 'arrived:standard:10000',
    'w:batch:jobs', 'w:batch:tokens', 'r:batch:jobs', 'r:batch:tokens',
    'arrived_at:batch', 'arrived:batch:2500', 'arrived:batch:10000',
    'fallback', 'alert', 'alert_above',
  })
  local load = {}
  for first = 1, 15, 7 do
    for i = first, first + 3 do
      load[#load + 1] = found[i] and tonumber(found[i]) or 0
    end
    local at, rate = found[first + 4], 0
    if at then
      for i, over_ms in ipairs(ARRIVAL_MS) do
        rate = math.max(rate, faded(tonumber(found[first + 4 + i]), at, over_ms, now) * 1000 / over_ms)
      end
    end
    load[#load + 1] = math.floor(rate + 0.5)
  end
  load[#load + 1] = tonumber(found[22] or 0)
  load[#load + 1] = tonumber(found[23] or 0)
  load[#load + 1] = standard_is_late(now) and 1 or 0
  return load
end
