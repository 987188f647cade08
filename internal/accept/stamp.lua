-- Draws a stamp that is higher than any before it, and leaves the marks of the
-- operations that it names. One script, so that no later stamp exists before an
-- earlier one's marks are seen.
-- KEYS  the stamp, the count of operations; then for each mark its under-way set and its idempotency key, where it has them
-- ARGV  stamps to reserve, seconds an idempotency key lives, number of marks, operations;
--       then for each mark: tail of the ID, has an under-way set, has an idempotency key, suffix,
--       value of the key that counts as free, operations that it stands for
-- reply the first stamp in µs; then for each mark what its idempotency key held before, or ''
local time = redis.call('TIME')
local stamp = time[1] * 1000000 + time[2]
local previous = tonumber(redis.call('GET', KEYS[1]) or '0')
if previous >= stamp then
  stamp = previous + 1
end
redis.call('SET', KEYS[1], string.format('%.0f', stamp + ARGV[1] - 1))

local ms = math.floor(stamp / 1000)
local fraction = math.floor((stamp - ms * 1000) * 4096 / 1000)
local head = string.format('%08x-%04x-7%03x-', math.floor(ms / 65536), ms % 65536, fraction)

local reply = {string.format('%.0f', stamp)}
local key, arg = 3, 5
local operations = tonumber(ARGV[4])
for i = 1, tonumber(ARGV[3]) do
  local id = head .. ARGV[arg]
  local underway, idempotency, held = nil, nil, false
  if ARGV[arg + 1] == '1' then
    underway, key = KEYS[key], key + 1
  end
  if ARGV[arg + 2] == '1' then
    idempotency, key = KEYS[key], key + 1
    held = redis.call('GET', idempotency)
    if held and held == ARGV[arg + 4] then
      if underway then
        redis.call('SREM', underway, string.sub(held, 1, 36))
      end
      held = false
    end
  end
  if not held then
    if idempotency then
      redis.call('SET', idempotency, id .. ARGV[arg + 3], 'EX', ARGV[2])
    end
    if underway then
      redis.call('SADD', underway, id)
    end
  end
  if held then
    operations = operations - ARGV[arg + 5]
  end
  reply[i + 1] = held or ''
  arg = arg + 6
end
if operations > 0 then
  redis.call('HINCRBY', KEYS[2], 'accepted', operations)
end
return reply
