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

-- All counters, read at once when the first is asked for. What is changed in them is written by `save`,
-- which ends every script that changes any.
local counters
local changed = {}

local function counter(name)
  if not counters then
    counters = {}
    local found = redis.call('HGETALL', KEYS[3])
    for i = 1, #found, 2 do
      counters[found[i]] = found[i + 1]
    end
  end
  return counters[name]
end

local function count(name)
  return tonumber(counter(name) or 0)
end

-- `value` is a text or a whole number, or nil to forget the counter.
local function set(name, value)
  if type(value) == 'number' then
    value = string.format('%.0f', value)
  end
  if counter(name) ~= value then
    counters[name] = value
    changed[name] = true
  end
end

local function add(name, by)
  set(name, count(name) + by)
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
  local parts = { entry.state, entry.class, string.format('%d', entry.tokens), entry.fallback, entry.at, entry.due, entry.owner }
  redis.call('HSET', KEYS[1], job_id, table.concat(parts, ' '))
end

-- Counts an entry in its state (`sign` 1) or out of it (-1).
local function tally(entry, sign)
  add(entry.state .. ':' .. entry.class .. ':jobs', sign)
  add(entry.state .. ':' .. entry.class .. ':tokens', sign * entry.tokens)
end

local function waiting(class)
  return count('w:' .. class .. ':jobs')
end

-- The alert is raised above the threshold and cleared at half of it. Batch work waits by design.
local function alert()
  local above, jobs = tonumber(counter('alert_above') or ALERT_ABOVE), waiting('interactive') + waiting('standard')
  if jobs > above then
    set('alert', 1)
  elseif jobs <= above / 2 then
    set('alert', nil)
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
    set('v:' .. class, nil)
  end
end

-- Cost of what has arrived, fading away over this time.
local function faded(class, over_ms, now)
  local at = count('arrived_at:' .. class)
  return count('arrived:' .. class .. ':' .. over_ms) * math.exp((at - now) / over_ms)
end

-- The same per second.
local function arriving(class, now)
  local rate = 0
  for _, over_ms in ipairs(ARRIVAL_MS) do
    rate = math.max(rate, faded(class, over_ms, now) * 1000 / over_ms)
  end
  return rate
end

local function arrived(class, tokens, now)
  for _, over_ms in ipairs(ARRIVAL_MS) do
    set('arrived:' .. class .. ':' .. over_ms, string.format('%.3f', faded(class, over_ms, now) + tokens))
  end
  set('arrived_at:' .. class, now)
end

-- Whether the first standard job that waits has used up half of its time.
local function standard_is_late(now)
  local from = FIRST.standard
  local head = redis.call('ZRANGEBYSCORE', KEYS[2], from, from + BAND - 1, 'LIMIT', 0, 1)[1]
  local found = head and redis.call('HGET', KEYS[1], head)
  local entry = found and parse(found)
  return entry and entry.due ~= '0' and 2 * now > entry.at + entry.due or false
end

-- {waiting jobs, waiting tokens, running jobs, running tokens, arriving tokens/s} of each class, then
-- the number of jobs that fallback has brought, 1 while the alert is up, 1 while standard is late.
local function load_now(now)
  local load = {}
  for _, class in ipairs(CLASSES) do
    for _, name in ipairs({ 'w:' .. class .. ':jobs', 'w:' .. class .. ':tokens', 'r:' .. class .. ':jobs', 'r:' .. class .. ':tokens' }) do
      load[#load + 1] = count(name)
    end
    load[#load + 1] = math.floor(arriving(class, now) + 0.5)
  end
  load[#load + 1] = count('fallback')
  load[#load + 1] = count('alert')
  load[#load + 1] = standard_is_late(now) and 1 or 0
  return load
end
