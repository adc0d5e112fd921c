-- Stands before every other script: what they share. Before it stands `IN_CLUSTER`.
--
-- A live message is one or several lines `<job id> <seq> <type> <json>`. The log is written before it
-- is published, so no reader ever sees what the log lacks.

local TERMINAL = { completed = true, failed = true, cancelled = true, expired = true }

-- Part of a list, also where `unpack`, which is faster, would be asked for too much.
local function slice(list, from, length)
  if length <= 1000 then
    return { unpack(list, from, from + length - 1) }
  end
  local part = {}
  for i = 1, length do
    part[i] = list[from + i - 1]
  end
  return part
end

-- By Redis's clock. For one script it stands.
local clock_ms
local function now_ms()
  if not clock_ms then
    local time = redis.call('TIME')
    clock_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return clock_ms
end

-- Publishes lines to a channel, in one message. Replicas of before that could be, whose channels have
-- other names, are told one by one. Returns how many listen.
local function tell(channel, lines)
  if string.sub(channel, -6) == ':lines' then
    return redis.call('PUBLISH', channel, table.concat(lines, '\n'))
  end
  local listeners
  for _, line in ipairs(lines) do
    listeners = redis.call('PUBLISH', channel, line)
  end
  return listeners
end

-- Publishes lines to each follower. A channel that nobody listens to any more is dropped. In a
-- cluster nobody can tell: who listens at another node is not counted. Returns the followers that
-- remain.
local function publish(lines, followers)
  local remaining = {}
  for channel in string.gmatch(followers or '', '%S+') do
    if tell(channel, lines) > 0 or IN_CLUSTER then
      remaining[#remaining + 1] = channel
    end
  end
  return table.concat(remaining, ' ')
end

-- The followers without this one.
local function without(followers, channel)
  local remaining = {}
  for other in string.gmatch(followers, '%S+') do
    if other ~= channel then
      remaining[#remaining + 1] = other
    end
  end
  return table.concat(remaining, ' ')
end

-- An event as a line of a live message. JSON has no newlines of its own.
local function live_line(job_id, seq, event_type, json)
  return job_id .. ' ' .. seq .. ' ' .. event_type .. ' ' .. json
end

-- Appends one event to the log. `ids` are the tokens of a delta; they stay in the log, for whoever
-- carries the answer on. Returns the line that is to be published.
local function log_event(log_key, job_id, seq, event_type, json, ids)
  if ids and ids ~= '' then
    redis.call('XADD', log_key, '0-' .. seq, 't', event_type, 'd', json, 'i', ids)
  else
    redis.call('XADD', log_key, '0-' .. seq, 't', event_type, 'd', json)
  end
  return live_line(job_id, seq, event_type, json)
end

-- Appends one event to the log and publishes it. Returns the followers that remain.
local function emit(log_key, job_id, seq, event_type, json, followers)
  return publish({ log_event(log_key, job_id, seq, event_type, json) }, followers)
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
-- The record says how long it and its log are kept; one of before it could has the defaults. `lines`,
-- if any, are those of events that were just logged: they are published with it. `fields`, if any, are
-- names and values that are written with it. Returns when the record goes.
local function conclude(job_key, log_key, job_id, seq, state, json, followers, lines, fields)
  local kept = redis.call('HMGET', job_key, 'result_ttl_ms', 'log_ttl_ms')
  lines = lines or {}
  lines[#lines + 1] = log_event(log_key, job_id, seq, state, json)
  publish(lines, followers)
  local kept_ms = tonumber(kept[1] or 86400000)
  redis.call('HSET', job_key, 'state', state, 'seq', seq, 'finished_at', now_ms(), 'final', json,
    unpack(fields or {}))
  redis.call('HDEL', job_key, 'followers', 'claim', 'cancel', 'cancel_at', 'untold')
  redis.call('PEXPIRE', job_key, kept_ms)
  redis.call('PEXPIRE', log_key, kept[2] or 3600000)
  return now_ms() + kept_ms
end

-- How long a job that is `queued` has been let wait to run alone, which does not count as its time to
-- run: but not for longer than that, so that its end comes all the same.
local function waited_alone(since, run_timeout_ms, now)
  if not since then
    return 0
  end
  return math.min(now - tonumber(since), run_timeout_ms)
end
