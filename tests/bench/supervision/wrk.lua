-- One GET, one call, in turn; at the end one JSON line with what failed. Arguments: "api" or "small", "close" or "keep".
local turn, requests = 0, {}

function init(args)
  local headers = {}
  if args[2] == "close" then headers["Connection"] = "close" end
  requests[1] = wrk.format("GET", "/health/live", headers)
  requests[2] = requests[1]
  if args[1] == "api" then
    headers["Content-Type"] = "application/json"
    requests[2] = wrk.format("POST", "/netron/invoke", headers,
      '{"id": "1", "service": "PricesService@2.0.0", "method": "getPrice", "input": {"pair": "btc-usd"}}')
  end
end

function request()
  turn = turn % 2 + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "p99_s": %f, "max_s": %f}\n',
    summary.requests, e.connect, e.read, e.write, e.status, e.timeout, latency:percentile(99) / 1e6, latency.max / 1e6))
end
