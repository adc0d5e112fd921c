-- Stands before every other script: what they share. Before it stands `IN_CLUSTER`.
--
-- A live message is `<job id> <seq> <type> <json>`. The log is written before it is published, so
-- no reader ever sees what the log lacks.

local TERMINAL = { completed = true, failed = true, cancelled = true, expired = true }

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Publishes an event to each follower. A channel that nobody listens to any more is dropped. In a
-- cluster nobody can tell: who listens at another node is not counted. Returns the followers that
-- remain.
local function publish(job_id, seq, event_type, json, followers)
  if not followers or followers == '' then
    return ''
  end
  local message = job_id .. ' ' .. seq .. ' ' .. event_type .. ' ' .. json
  local remaining = {}
  for channel in string.gmatch(followers, '%S+') do
    if redis.call('PUBLISH', channel, message) > 0 or IN_CLUSTER then
      remaining[#remaining + 1] = channel
    end
  end
  return table.concat(remaining, ' ')
end

-- Appends one event to the log and publishes it. `ids` are the tokens of a delta; they stay in the
-- log, for whoever carries the answer on. Returns the followers that remain.
local function emit(log_key, job_id, seq, event_type, json, followers, ids)
  if ids and ids ~= '' then
    redis.call('XADD', log_key, '0-' .. seq, 't', event_type, 'd', json, 'i', ids)
  else
    redis.call('XADD', log_key, '0-' .. seq, 't', event_type, 'd', json)
  end
  return publish(job_id, seq, event_type, json, followers)
end

-- The `cancelled` event of a job that no worker ends: `unrun` and `after_run` are its two forms.
-- How many tokens were made is said only where the record has a number.
local function cancelled_event(attempt, tokens_made, unrun, after_run)
  if tonumber(attempt) == 0 then
    return unrun
  end
  local event = cjson.decode(after_run)
  event.tokens = tonumber(tokens_made) or cjson.null
  return cjson.encode(event)
end

-- Writes the terminal event and state. `seq` is the number of that event. Nothing follows it.
-- The record says how long it and its log are kept; one of before it could has the defaults. Returns
-- when the record goes.
local function conclude(job_key, log_key, job_id, seq, state, json, followers)
  local kept = redis.call('HMGET', job_key, 'result_ttl_ms', 'log_ttl_ms')
  emit(log_key, job_id, seq, state, json, followers)
  local now, kept_ms = now_ms(), tonumber(kept[1] or 86400000)
  redis.call('HSET', job_key, 'state', state, 'seq', seq, 'finished_at', now, 'final', json)
  redis.call('HDEL', job_key, 'followers', 'claim', 'cancel', 'cancel_at')
  redis.call('PEXPIRE', job_key, kept_ms)
  redis.call('PEXPIRE', log_key, kept[2] or 3600000)
  return now + kept_ms
end

-- How long a job that is `queued` has been let wait to run alone, which does not count as its time to
-- run: but not for longer than that, so that its end comes all the same.
local function waited_alone(since, run_timeout_ms, now)
  if not since then
    return 0
  end
  return math.min(now - tonumber(since), run_timeout_ms)
end
