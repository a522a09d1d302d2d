-- One getPrice after the other, each with an id of its own.
local n = 0
local form = '{"id":"%d","version":"2.0","timestamp":1767225600000,"service":"PricesService@2.0.0",' ..
  '"method":"getPrice","input":{"pair":"btc-usd"}}'
wrk.headers["Content-Type"] = "application/json"
function request()
  n = n + 1
  return wrk.format("POST", "/netron/invoke", nil, form:format(100000 + n % 900000))
end
