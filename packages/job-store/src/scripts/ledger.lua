-- Stands before the scripts of the ledger: what they share.
--
-- The ledger of a tier has an entry for each job in its system, and counters. Counters change only
-- together with an entry, in one script, so they are what a count of the entries would give.
--
-- KEYS  1 entries (hash), 2 order of those that wait (sorted set), 3 counters (hash),
--       4 to 6 last tag by owner (hash) of interactive, standard and batch, 7 and 8 BullMQ's sorted
--       sets of entries that wait: of the foreground queue and of the batch queue
--
-- An entry is `<w|r> <class> <tokens> <1 if brought by fallback, or 0> <since when> <owner>`: it waits
-- or runs.
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
-- Every so many starts of interactive jobs one is given to standard, if any waits.
local STANDARD_EVERY = 9
-- What arrives is averaged over so long.
local ARRIVAL_MS = 10000
-- Of waiting jobs, where nobody has said how many workers there are.
local ALERT_ABOVE = 15

local function count(name)
  return tonumber(redis.call('HGET', KEYS[3], name) or 0)
end

local function add(name, by)
  return redis.call('HINCRBY', KEYS[3], name, string.format('%d', by))
end

local function parse(entry)
  local state, class, tokens, fallback, at, owner = string.match(entry, '^(%a) (%a+) (%d+) (%d) (%d+) (.*)$')
  return { state = state, class = class, tokens = tonumber(tokens), fallback = tonumber(fallback), at = at, owner = owner }
end

local function write(job_id, entry)
  local parts = { entry.state, entry.class, string.format('%d', entry.tokens), entry.fallback, entry.at, entry.owner }
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
  local above, jobs = tonumber(redis.call('HGET', KEYS[3], 'alert_above') or ALERT_ABOVE), waiting('interactive') + waiting('standard')
  if jobs > above then
    redis.call('HSET', KEYS[3], 'alert', 1)
  elseif jobs <= above / 2 then
    redis.call('HDEL', KEYS[3], 'alert')
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
    redis.call('HDEL', KEYS[3], 'v:' .. class)
  end
end

-- Cost of what has arrived lately, per second.
local function arriving(class, now)
  local sum, at = count('arrived:' .. class), count('arrived_at:' .. class)
  return sum * math.exp((at - now) / ARRIVAL_MS) * 1000 / ARRIVAL_MS
end

local function arrived(class, tokens, now)
  local sum = arriving(class, now) * ARRIVAL_MS / 1000 + tokens
  redis.call('HSET', KEYS[3], 'arrived:' .. class, string.format('%.3f', sum), 'arrived_at:' .. class, now)
end

-- {waiting jobs, waiting tokens, running jobs, running tokens, arriving tokens/s} of each class, then
-- the number of jobs that fallback has brought, and 1 while the alert is up.
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
  return load
end
