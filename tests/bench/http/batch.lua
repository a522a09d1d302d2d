-- Twenty getPrice in one request.
local calls = {}
for i = 1, 20 do
  calls[i] = ('{"id":"%d","service":"PricesService@2.0.0","method":"getPrice","input":{"pair":"btc-usd"}}'):format(i)
end
wrk.method = "POST"
wrk.path = "/netron/batch"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"id":"b","requests":[' .. table.concat(calls, ",") .. "]}"
