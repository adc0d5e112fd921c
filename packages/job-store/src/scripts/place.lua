-- What a client is told of the place of a job that has just found this in its tier. The same as
-- `placeFound` of the router core says, for the step that writes the job.
--
-- ARGV  1 class, 2 jobs ahead of it, 3 tokens ahead of it, 4 slots of the tier, 5 its live workers,
--       6 tokens that it gets done per second, or '', 7 its breaker, 8 ms until that lets the next try
--       through, or '', then the load of the tier, see `load_now`
-- RETURN {position, 1 being next; ms that it is expected to wait, or false where nobody can tell}

local STANDARD_SHARE, LATE_SHARE, ARRIVING_MARGIN, PROBING_MS = 0.1, 0.25, 1.1, 5000
local FIRST = { interactive = 8, standard = 13, batch = 18 }
-- Of the numbers of a class.
local WAITING, WAITING_TOKENS, RUNNING, RUNNING_TOKENS, ARRIVING = 1, 2, 3, 4, 5

local class, ahead_jobs, ahead_tokens = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local slots, live_workers = tonumber(ARGV[4]), tonumber(ARGV[5])
local tokens_per_s, breaker, retry_in_ms = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local is_alerting, is_standard_late = tonumber(ARGV[25]) == 1, tonumber(ARGV[26]) == 1

local function of(name, number)
  return tonumber(ARGV[FIRST[name] + number])
end

local function total(number)
  return ARGV[8 + number] + ARGV[13 + number] + ARGV[18 + number]
end

-- What is certainly before a job of this class: those of higher ones.
local function higher(number)
  local sum = 0
  for first = FIRST.interactive, FIRST[class] - 1, 5 do
    sum = sum + ARGV[first + number]
  end
  return sum
end

-- The slot that batches keep while others wait.
local batch_seats = slots > 1 and of('batch', WAITING) + of('batch', RUNNING) > 0 and 1 or 0

local function free_slots()
  local free = slots - total(RUNNING)
  local is_seat_open = of('batch', RUNNING) == 0 and batch_seats > 0
  return class ~= 'batch' and is_seat_open and free - 1 or free
end

-- Work until a slot is free for the job, in tokens.
local function work_before(jobs, tokens)
  local ends = jobs + 1 - free_slots()
  if ends <= 0 then
    return 0
  end
  local all_jobs, all_tokens = jobs + total(RUNNING), tokens + total(RUNNING_TOKENS)
  return all_jobs == 0 and 0 or all_tokens * ends / all_jobs
end

-- In tokens per second: for all that is before a job, and what is certain for its own class.
local function rates()
  local per_slot = tokens_per_s / math.max(1, slots)
  local foreground = tokens_per_s - per_slot * batch_seats
  local interactive, standard = of('interactive', ARRIVING), of('standard', ARRIVING)
  if class == 'interactive' then
    local standard_share = is_standard_late and LATE_SHARE or STANDARD_SHARE
    local share = of('standard', WAITING) > 0 and 1 - standard_share or 1
    return foreground * share, foreground * share
  elseif class == 'standard' then
    return foreground - interactive * ARRIVING_MARGIN, foreground * STANDARD_SHARE
  end
  return tokens_per_s - (interactive + standard) * ARRIVING_MARGIN, slots > 1 and per_slot or 0
end

local function round(number)
  return math.floor(number + 0.5)
end

local function wait_ms()
  if class == 'batch' and is_alerting then
    return false
  end
  if breaker == 'open' then
    if not retry_in_ms then
      return false
    end
    local drain_ms = tokens_per_s and ahead_tokens / tokens_per_s * 1000 or 0
    return round(retry_in_ms + PROBING_MS + drain_ms)
  end
  if slots <= 0 then
    local is_known = live_workers > 0 and tokens_per_s and ahead_jobs > 0
    return is_known and round(ahead_tokens / tokens_per_s * 1000) or false
  end
  local work = work_before(ahead_jobs, ahead_tokens)
  if work == 0 then
    return 0
  end
  if not tokens_per_s then
    return false
  end
  local all, own = rates()
  local own_work = work_before(
    math.max(0, ahead_jobs - higher(WAITING)), math.max(0, ahead_tokens - higher(WAITING_TOKENS)))
  local wait_s = math.min(all > 0 and work / all or math.huge, own > 0 and own_work / own or math.huge)
  return wait_s < math.huge and round(wait_s * 1000) or false
end

-- Batches have a queue of their own, in which they count, and all others go before them.
local other_queue = class == 'batch' and of('interactive', WAITING) + of('standard', WAITING) or 0
return { math.max(1, ahead_jobs - other_queue + 1), wait_ms() }
