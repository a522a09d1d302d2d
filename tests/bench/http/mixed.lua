-- 99 getPrice, then one request that Quart answers, on the same connection.
local n = 0
local body = '{"id":"1","service":"PricesService@2.0.0","method":"getPrice","input":{"pair":"btc-usd"}}'
local call = nil
local read = nil
function init()
  wrk.headers["Content-Type"] = "application/json"
  call = wrk.format("POST", "/netron/invoke", nil, body)
  read = wrk.format("GET", "/health/live", {}, nil)
end
function request()
  n = n + 1
  if n % 100 == 0 then return read end
  return call
end
