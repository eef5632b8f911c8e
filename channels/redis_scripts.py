"""The keys of the hub in Redis, and the Lua that changes them. Works on Redis 7 and Valkey 8 or newer.

A channel belongs to one of PARTITIONS partitions. All keys of partition 7 share the hash tag `{7}`, so that a script
touches one slot of a cluster:

    hub:{7}:last                    hash: latest channel → "<seq> <payload>"; the field "" → "<run id> <first seq>";
                                    the field " <lease>" → the greatest fence that wrote here
    hub:{7}:pos:<channel>           hash of a log channel: epoch, offset, run_id
    hub:{7}:log:<channel>           stream of a log channel: `<offset>-0` → payload
    hub:{7}:key:<channel>:<key>     idempotency: "<offset> <epoch>"
    hub:{7}:ingested                hash: incarnation of the ingest stream → id of the last entry that was published

Beside the partitions stand, each in a slot of its own:

    hub:count:<key>                 number: a counter (`Broker.count`), which expires when its window ends
    hub:{lease:<name>}              hash: owner, number of the fence, until when (server time, ms)
    hub:{demand}:names              sorted set: what is wanted (`Broker.demand`), by the end of the demand; its
    hub:{demand}:version            version counts every change

Offsets and sequence numbers are only as good as the server's memory. A server that restarted, or a replica that took
over, may have lost its newest writes and would give their offsets a second time; so the server's run id stands beside
them, and under another run id a log channel gets a new epoch, and a latest channel goes on from the present time in
milliseconds, which is above every number that was given before.

An envelope, the message on a partition's pub/sub channel, holds three lines for each publication: channel, position
(`<seq>` or `<epoch> <offset>`), payload.
"""

from zlib import crc32

from channels.redis_link import Script

PARTITIONS = 64
IDLE_POSITION_S = 30 * 86400
"""For how long after its history a log channel's position is kept; a channel silent for longer gets a new epoch."""
ASKED_POSITION_S = 86400
"""The same for a channel that was asked for and never published to: anyone may ask for any name."""


class Keys:
    """Names of keys and of pub/sub channels under one prefix."""

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix or not prefix.isascii():
            raise ValueError("a prefix is ASCII and holds no braces")
        if f"@{prefix}".startswith(prefix):  # then outsiders would hear, and say, what is internal
            raise ValueError("a prefix is not empty and does not consist of @ alone")
        self.prefix = prefix.encode()
        heads = [b"%s{%d}:" % (self.prefix, partition) for partition in range(PARTITIONS)]
        self._heads = heads
        self.last = [head + b"last" for head in heads]
        self.ingested = [head + b"ingested" for head in heads]
        # The internal pub/sub channels begin with @, so that the pattern of outsiders does not match them.
        self.envelopes = [b"@%s{%d}" % (self.prefix, partition) for partition in range(PARTITIONS)]
        self.ask = b"@%sask" % self.prefix
        self.ingest = self.prefix + b"ingest"
        self.dead = self.prefix + b"ingest:dead"
        self.ingest_state = b"%s{%s}:state" % (self.prefix, self.ingest)
        self.dead_state = b"%s{%s}:state" % (self.prefix, self.dead)
        self.demand = b"%s{demand}:names" % self.prefix
        self.demand_version = b"%s{demand}:version" % self.prefix

    def position(self, partition: int, channel: bytes) -> bytes:
        """The key of a log channel's position."""
        return b"%spos:%s" % (self._heads[partition], channel)

    def log(self, partition: int, channel: bytes) -> bytes:
        """The key of a log channel's history."""
        return b"%slog:%s" % (self._heads[partition], channel)

    def idempotency(self, partition: int, channel: bytes, key: str) -> bytes:
        """The key that remembers an idempotency key."""
        return b"%skey:%s:%s" % (self._heads[partition], channel, key.encode())

    def claim(self, key: str) -> bytes:
        """The key of a claim."""
        return b"%sclaim:%s" % (self.prefix, key.encode())

    def counter(self, key: str) -> bytes:
        """The key of a counter."""
        return b"%scount:%s" % (self.prefix, key.encode())

    def lease(self, name: str) -> bytes:
        """The key of a lease."""
        return b"%s{lease:%s}" % (self.prefix, name.encode())

    def reply(self, token: str) -> bytes:
        """The list that the answers to one question of `presence` come to."""
        return b"%sreply:%s" % (self.prefix, token.encode())

    def probe(self, instance: str) -> bytes:
        """The pub/sub channel on which a listener hears itself."""
        return b"@%sprobe:%s" % (self.prefix, instance.encode())

    def outsiders(self) -> bytes:
        """The pub/sub pattern that outsiders publish under."""
        special = b"*?[]\\^-"
        return b"".join(b"\\%c" % byte if byte in special else b"%c" % byte for byte in self.prefix) + b"*"


def partition_of(channel: bytes) -> int:
    """The partition of a channel; the same in every process and every release."""
    return crc32(channel) % PARTITIONS


_RUN = r"""
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
"""

_ENVELOPE = r"""
local lines, size = {}, 0
local function send()
  if #lines > 0 and ARGV[1] ~= '' then redis.call(ARGV[1], ARGV[2], table.concat(lines, '\n')) end
  lines, size = {}, 0
end
local function add(channel, position, payload)
  local n = #lines
  lines[n + 1], lines[n + 2], lines[n + 3] = channel, position, payload
  size = size + #payload
  if size > 65536 then send() end
end
"""

_SEQUENCE = r"""
local function first_seq(held)
  local run, first = string.match(held or '', '^(%x+) (%d+)$')
  if run == run_id then return tonumber(first), nil end
  local now = redis.call('TIME')
  first = now[1] * 1000 + math.floor(now[2] / 1000)
  return first, run_id .. ' ' .. string.format('%.0f', first)
end
local function next_seq(held, first)
  local seq = tonumber(string.match(held or '', '^%d+') or 0)
  return math.max(seq + 1, first)
end
"""

_POSITION = r"""
local function position(pos, log, fresh)
  local held = redis.call('HMGET', pos, 'epoch', 'offset', 'run_id')
  if held[3] == run_id then return held[1], tonumber(held[2]) end
  redis.call('DEL', log)
  return fresh, 0
end
local function keep_position(pos, epoch, offset, age_ms)
  redis.call('HSET', pos, 'epoch', epoch, 'offset', string.format('%.0f', offset), 'run_id', run_id)
  redis.call('PEXPIRE', pos, age_ms)
end
"""

_AFTER = r"""
local function longer_or_greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
local function after(a, b)
  if not b then return true end
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return longer_or_greater(a_ms, b_ms) end
  return longer_or_greater(a_seq, b_seq)
end
"""

LATEST = Script(
    _RUN
    + _ENVELOPE
    + _SEQUENCE
    + r"""
-- KEYS: last. ARGV: PUBLISH, SPUBLISH or nothing; the partition's pub/sub channel; the field and the number of the
-- caller's fence, or nothing twice; then channel, payload, ... Answers how many, or -1 where a newer fence was seen.
local fields = {'', ARGV[3]}
for i = 5, #ARGV, 2 do fields[#fields + 1] = ARGV[i] end
local held = redis.call('HMGET', KEYS[1], unpack(fields))
local first, mark = first_seq(held[1])
local changes, newest = {}, {}
if mark then changes = {'', mark} end
if ARGV[3] ~= '' then
  local seen = tonumber(held[2] or '0')
  if seen > tonumber(ARGV[4]) then return -1 end
  if seen < tonumber(ARGV[4]) then changes[#changes + 1], changes[#changes + 2] = ARGV[3], ARGV[4] end
end
for i = 5, #ARGV, 2 do
  local channel, payload = ARGV[i], ARGV[i + 1]
  local seq = newest[channel] and newest[channel] + 1 or next_seq(held[(i + 1) / 2], first)
  newest[channel] = seq
  local text = string.format('%.0f', seq)
  local n = #changes
  changes[n + 1], changes[n + 2] = channel, text .. ' ' .. payload
  add(channel, text, payload)
end
redis.call('HSET', KEYS[1], unpack(changes))
send()
return #fields - 2
"""
)
"""Values of latest channels of one partition: sequence numbers, last values, one message. At most 1,000 at once."""

PUBLISH = Script(
    _RUN
    + _ENVELOPE
    + _SEQUENCE
    + _POSITION
    + _AFTER
    + r"""
-- KEYS: last, ingested; then for each publication: position, log, idempotency key.
-- ARGV: PUBLISH or SPUBLISH; the partition's pub/sub channel; an epoch in case one is needed; the idempotency window
-- in ms; how long a position outlives its history in ms; the ingest stream's incarnation or nothing; then for each
-- publication: channel, payload, log|latest, 1 if there is a key, history size, history age in ms, ingest id.
local function latest(channel, payload)
  local held = redis.call('HMGET', KEYS[1], '', channel)
  local first, mark = first_seq(held[1])
  local seq = string.format('%.0f', next_seq(held[2], first))
  if mark then redis.call('HSET', KEYS[1], '', mark) end
  redis.call('HSET', KEYS[1], channel, seq .. ' ' .. payload)
  add(channel, seq, payload)
  return seq, ''
end
local function log(k, channel, payload, history, age_ms)
  local epoch, offset = position(KEYS[k], KEYS[k + 1], ARGV[3])
  offset = offset + 1
  local text = string.format('%.0f', offset)
  if history ~= '0' then
    redis.call('XADD', KEYS[k + 1], 'MAXLEN', history, text .. '-0', 'p', payload)
    redis.call('PEXPIRE', KEYS[k + 1], age_ms)
  end
  keep_position(KEYS[k], epoch, offset, age_ms + ARGV[5])
  add(channel, epoch .. ' ' .. text, payload)
  return text, epoch
end
local mark = ARGV[6] ~= '' and redis.call('HGET', KEYS[2], ARGV[6]) or nil
local reached
local function one(k, a)
  local keyed, id = ARGV[a + 3] == '1', ARGV[a + 6]
  if id ~= '' and not after(id, reached or mark) then return '0', '', 1 end
  local first = keyed and redis.call('GET', KEYS[k + 2])
  local offset, epoch, duplicate
  if first then
    offset, epoch = string.match(first, '^(%d+) (.*)$')
    duplicate = 1
  else
    if ARGV[a + 2] == 'log' then
      offset, epoch = log(k, ARGV[a], ARGV[a + 1], ARGV[a + 4], ARGV[a + 5])
    else
      offset, epoch = latest(ARGV[a], ARGV[a + 1])
    end
    if keyed then redis.call('SET', KEYS[k + 2], offset .. ' ' .. epoch, 'PX', ARGV[4]) end
    duplicate = 0
  end
  if id ~= '' then reached = id end
  return offset, epoch, duplicate
end
local replies, fault = {}, nil
local k = 3
for a = 7, #ARGV, 7 do
  -- What went before a publication that fails has been stored and must be heard.
  local ok, offset, epoch, duplicate = pcall(one, k, a)
  if not ok then
    fault = offset
    break
  end
  local n = #replies
  replies[n + 1], replies[n + 2], replies[n + 3] = offset, epoch, duplicate
  k = k + 3
end
if reached then redis.call('HSET', KEYS[2], ARGV[6], reached) end
send()
if fault then return redis.error_reply(type(fault) == 'table' and fault.err or fault) end
return replies
"""
)
"""Publications of one partition, in order: idempotency, position, history or last value, one message."""

HISTORY = Script(
    _RUN
    + _POSITION
    + r"""
-- KEYS: position, log. ARGV: an epoch in case one is needed; how long to keep it in ms; limit; then the position
-- asked for, epoch and offset, or neither. Answers epoch, offset, 1 if complete, entries.
local epoch, offset = position(KEYS[1], KEYS[2], ARGV[1])
if epoch == ARGV[1] then keep_position(KEYS[1], epoch, offset, ARGV[2]) end
local limit, since_epoch, since = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local complete, entries = 1, {}
if since_epoch ~= epoch then
  complete = since_epoch and 0 or 1
  if limit > 0 then
    local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', limit)
    for i = #newest, 1, -1 do entries[#entries + 1] = newest[i] end
  end
elseif since >= offset then
  complete = since == offset and 1 or 0
else
  local next_id = string.format('%.0f', since + 1) .. '-0'
  entries = redis.call('XRANGE', KEYS[2], next_id, '+', 'COUNT', math.max(limit, 1))
  complete = entries[1] and entries[1][1] == next_id and 1 or 0
  if limit == 0 then entries = {} end
end
return {epoch, string.format('%.0f', offset), complete, entries}
"""
)
"""A log channel's position and history, read at one moment."""

INGEST_READ = Script(
    _AFTER
    + r"""
-- KEYS: the ingest stream, its state. ARGV: count, an incarnation in case one is needed, bytes.
-- Answers incarnation, entries. A stream whose ids went back was deleted and made anew: another incarnation.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'', {}} end
local info, last = redis.call('XINFO', 'STREAM', KEYS[1]), nil
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
local state = redis.call('HMGET', KEYS[2], 'incarnation', 'last')
local incarnation = state[1]
if not incarnation or (state[2] and after(state[2], last)) then incarnation = ARGV[2] end
if state[2] ~= last or state[1] ~= incarnation then
  redis.call('HSET', KEYS[2], 'incarnation', incarnation, 'last', last)
end
local entries, size, from = {}, 0, '-'
while #entries < tonumber(ARGV[1]) and size < tonumber(ARGV[3]) do
  local found = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 25)
  if #found == 0 then break end
  for i = 1, #found do
    if #entries < tonumber(ARGV[1]) and size < tonumber(ARGV[3]) then
      entries[#entries + 1] = found[i]
      for _, text in ipairs(found[i][2]) do size = size + #text end
    end
  end
  from = '(' .. found[#found][1]
end
return {incarnation, entries}
"""
)
"""The oldest entries of the ingest stream."""

INGEST_DEAD = Script(
    _AFTER
    + r"""
-- KEYS: the stream of dead entries, its state. ARGV: incarnation, maximal length; then for each entry: id, the number
-- of fields and values, those.
local mark = redis.call('HGET', KEYS[2], ARGV[1])
local i, added = 3, 0
while i <= #ARGV do
  local id, count = ARGV[i], tonumber(ARGV[i + 1])
  if after(id, mark) then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, i + 2, i + 1 + count))
    redis.call('HSET', KEYS[2], ARGV[1], id)
    mark = id
    added = added + 1
  end
  i = i + 2 + count
end
return added
"""
)
"""Keeps entries that can't be published, each once."""

_LEASE = r"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'number', 'until')
local mine = held[1] == ARGV[1]
local lasts = tonumber(held[3] or '0') > now
"""

ACQUIRE = Script(
    _LEASE
    + r"""
-- KEYS: the lease. ARGV: owner, for how many ms. Answers the fence's number, 0 where somebody else holds it.
if lasts and not mine then return 0 end
local number = tonumber(held[2] or '0')
if not (lasts and mine) then number = math.max(number + 1, now) end  -- above all before, even those of a lost key
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'number', string.format('%.0f', number), 'until', now + ARGV[2])
return number
"""
)
"""Takes a lease that nobody holds; taking one's own again changes nothing but its end."""

RENEW = Script(
    _LEASE
    + r"""
if not (lasts and mine) then return 0 end
redis.call('HSET', KEYS[1], 'until', now + ARGV[2])
return 1
"""
)
"""Prolongs a lease that is still one's own."""

RELEASE = Script(_LEASE + "if mine then redis.call('HSET', KEYS[1], 'until', 0) end return 1")
"""Gives up a lease that is still one's own."""

COUNT = Script(
    r"""
-- KEYS: the counter. ARGV: what is added, the window in ms. Answers the count, and in how many ms it ends.
local cost, left = tonumber(ARGV[1]), redis.call('PTTL', KEYS[1])
if left < 0 then  -- there is none, or one that would never end
  if cost <= 0 then return {0, tonumber(ARGV[2])} end
  redis.call('SET', KEYS[1], cost, 'PX', ARGV[2])
  return {cost, tonumber(ARGV[2])}
end
local count = redis.call('INCRBY', KEYS[1], cost)
if count < 0 then count = redis.call('INCRBY', KEYS[1], -count) end
return {count, left}
"""
)
"""Adds to a counter that ends by itself."""

DEMAND = Script(
    r"""
-- KEYS: the names by the end of their demand, its version. ARGV: for how many ms; names.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ends = now + ARGV[1]
local added = 0
redis.call('SET', KEYS[2], string.format('%.0f', now), 'NX')  -- above all versions of a memory that was lost
for i = 2, #ARGV do added = added + redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
if added > 0 then redis.call('INCR', KEYS[2]) end
return added
"""
)
"""Wants names for a while longer."""

DEMANDED = Script(
    r"""
-- KEYS: as above. ARGV: the version that the caller knows. Answers the version, and the names if it is another.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) > 0 then redis.call('INCR', KEYS[2]) end
local version = redis.call('GET', KEYS[2]) or '0'
if version == ARGV[1] then return {version} end
return {version, redis.call('ZRANGE', KEYS[1], 0, -1)}
"""
)
"""What is wanted by anybody now."""
