-- What scripts do: numbers, tables, strings, closures, sorting. Argument: rounds.
local rounds = tonumber(arg and arg[1]) or 1
local sum = 0

local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local Point = {}
Point.__index = Point
function Point.new(x, y) return setmetatable({x = x, y = y}, Point) end
function Point:add(other) return Point.new(self.x + other.x, self.y + other.y) end

for round = 1, rounds do
  sum = sum + fib(20)
  local sieve = {}
  for i = 2, 20000 do
    if not sieve[i] then
      sum = sum + 1
      for j = i * i, 20000, i do sieve[j] = true end
    end
  end
  local words = {}
  for i = 1, 2000 do words[i] = string.format("%05d-%s", i * 7919 % 100003, ("x"):rep(i % 7)) end
  table.sort(words)
  local text = table.concat(words, " ")
  for number in text:gmatch("(%d+)%-xxx") do sum = sum + tonumber(number) % 10 end
  local p = Point.new(0, 0)
  for i = 1, 20000 do p = p:add(Point.new(i, round)) end
  sum = sum + p.x % 1000
end
print("script", sum)
