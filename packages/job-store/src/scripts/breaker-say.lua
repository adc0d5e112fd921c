-- A worker says what its breaker for an engine has become.
--
-- While the breaker that all share is closed, `open` is a vote, and enough votes open it; anything else
-- takes the vote back. While it is not closed, only who holds the lease of its probe changes it.
--
-- KEYS  1 the tier's shared breakers, 2 the lease of the engine's probe
-- ARGV  1 engine, 2 worker, 3 'closed' 'half_open' or 'open', 4 how often it was open lately,
--       5 ms that it stays open, 6 votes that it takes, 7 ms that a vote counts, 8 ms to live,
--       9 control channel, 10 the message for it
-- RETURN when the shared one became that, in us; '' where it stays as it is; 'superseded' where somebody
--        else is to say what it is

local engine, worker, said = ARGV[1], ARGV[2], ARGV[3]
local json = redis.call('HGET', KEYS[1], engine)
local shared = json and cjson.decode(json) or { kind = 'closed', trips = 0, at = '0', votes = {} }

local function store()
  redis.call('HSET', KEYS[1], engine, cjson.encode(shared))
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
end

local function become()
  local time = redis.call('TIME')
  -- As text: cjson keeps 14 digits of a number.
  shared.at = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  shared.kind = said
  shared.trips = tonumber(ARGV[4])
  shared['until'] = now_ms() + tonumber(ARGV[5])
  shared.votes = {}
  store()
  redis.call('PUBLISH', ARGV[9], ARGV[10])
  return shared.at
end

if shared.kind ~= 'closed' then
  if redis.call('GET', KEYS[2]) ~= worker then
    return 'superseded'
  end
  return become()
end

local votes, count = {}, 0
for voter, at in pairs(shared.votes) do
  if voter ~= worker and now_ms() - at < tonumber(ARGV[7]) then
    votes[voter] = at
    count = count + 1
  end
end
if said == 'open' then
  if count + 1 >= tonumber(ARGV[6]) then
    return become()
  end
  votes[worker] = now_ms()
end
shared.votes = votes
store()
return ''
