local bit = require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local ror, shr, tobit = bit.ror, bit.rshift, bit.tobit
local byte, char, rep, sub, format = string.byte, string.char, string.rep, string.sub, string.format

-- SHA-256 (FIPS 180-4): the constants are the first bits of the roots of the first primes.
local K, INITIAL = {}, {}
do
  local primes, n = {}, 2
  while #primes < 64 do
    local prime = true
    for _, p in ipairs(primes) do
      if n % p == 0 then prime = false break end
    end
    if prime then primes[#primes + 1] = n end
    n = n + 1
  end
  -- Doubles hold 53 bits: enough for the 32 behind the point of numbers below 20.
  local function fraction(x) return tobit(math.floor((x - math.floor(x)) * 2 ^ 32)) end
  for i = 1, 64 do K[i] = fraction(primes[i] ^ (1 / 3)) end
  for i = 1, 8 do INITIAL[i] = fraction(primes[i] ^ (1 / 2)) end
end

local W = {}
local function compress(state, text, at)
  for i = 1, 16 do
    local a, b, c, d = byte(text, at, at + 3)
    W[i] = bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
    at = at + 4
  end
  for i = 17, 64 do
    local x, y = W[i - 15], W[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), shr(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), shr(y, 10))
    W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, h =
    state[1], state[2], state[3], state[4], state[5], state[6], state[7], state[8]
  for i = 1, 64 do
    local t1 = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i] + W[i])
    local t2 = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c)))
    h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
  end
  return { tobit(state[1] + a), tobit(state[2] + b), tobit(state[3] + c), tobit(state[4] + d),
           tobit(state[5] + e), tobit(state[6] + f), tobit(state[7] + g), tobit(state[8] + h) }
end

-- The state after all whole blocks of a text, and the rest of it.
local function absorb(state, text)
  local at = 1
  while at + 63 <= #text do
    state = compress(state, text, at)
    at = at + 64
  end
  return state, sub(text, at)
end

local function finish(state, rest, length)
  local padding = rep("\0", (55 - length) % 64)
  local bits = length * 8
  local size = char(0, 0, 0, 0, band(shr(bits, 24), 255), band(shr(bits, 16), 255), band(shr(bits, 8), 255), band(bits, 255))
  return (absorb(state, rest .. "\128" .. padding .. size))
end

local function words(state)
  local out = {}
  for i = 1, 8 do
    local w = state[i]
    out[i] = char(band(shr(w, 24), 255), band(shr(w, 16), 255), band(shr(w, 8), 255), band(w, 255))
  end
  return table.concat(out)
end

local function pad(with)
  local out = {}
  for i = 1, 64 do out[i] = char(bxor(i <= #secret and byte(secret, i) or 0, with)) end
  return table.concat(out)
end

local inner, inner_rest = absorb(INITIAL, pad(0x36) .. start)
local outer = absorb(INITIAL, pad(0x5c))

local function sign(tail)
  local digest = finish(inner, inner_rest .. tail, 64 + #start + #tail)
  local result = finish(outer, words(digest), 64 + 32)
  local out = {}
  for i = 1, 8 do out[i] = bit.tohex(result[i]) end
  return "sha256=" .. table.concat(out)
end

local counter, pause, seed = 0, 0, "0000"
function init(args)
  seed = format("%04d", tonumber(args[1]))
  pause = tonumber(args[2])
end

function request()
  counter = counter + 1
  local number = seed .. format("%07d", counter)
  local tail = number .. middle .. number .. "}}"
  return wrk.format("POST", nil, {
    ["content-type"] = "application/json",
    ["x-github-event"] = "issue_comment",
    ["x-github-delivery"] = "00000000-0000-4000-8000-0" .. number,
    ["x-hub-signature-256"] = sign(tail),
  }, start .. tail)
end

-- Spread, so that the connections do not all ask at the same moment.
function delay() return pause == 0 and 0 or math.random(0, 2 * pause) end

function done(summary, latency)
  local errors = summary.errors
  io.write(format(
    'RESULT {"requests":%d,"seconds":%.4f,"errors":%d,"p50":%.3f,"p99":%.3f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
