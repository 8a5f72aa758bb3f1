-- The load: one prepared request for each session, a fresh id each time, and one line of JSON at the end.
-- Where a header field holds @TRACE@ the id stands there, too.
-- Arguments after "--": file of header fields, file of the body, file of session ids.

local prepared, tail, next_one, next_id, traced = {}, "", 0, 1000000, false
local least_id, most_id = 1000000, 9999999 -- ids of one length, so that content-length never changes

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(arguments)
  local before, after = read(arguments[2]):match('^(.-)"@ID@"(.*)$')
  local length = #before + #tostring(least_id) + #after
  local head = "POST /mcp HTTP/1.1\r\nhost: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
  head = head .. "content-length: " .. length .. "\r\n" .. read(arguments[1])
  for session in read(arguments[3]):gmatch("%S+") do
    prepared[#prepared + 1] = head .. "mcp-session-id: " .. session .. "\r\n\r\n" .. before
  end
  if #prepared == 0 then prepared[1] = head .. "\r\n" .. before end
  tail = after
  traced = prepared[1]:find("@TRACE@", 1, true) ~= nil
end

function request()
  next_one = next_one % #prepared + 1
  next_id = next_id < most_id and next_id + 1 or least_id
  local request = prepared[next_one]
  if traced then request = request:gsub("@TRACE@", next_id) end
  return request .. next_id .. tail
end

function done(summary, latency, _)
  local errors = summary.errors
  local line = '\nRESULT {"requests":%d,"elapsed_us":%d,"p50_us":%d,"p99_us":%d,"bytes":%d,"refused":%d,"broken":%d,"late":%d}\n'
  io.write(line:format(summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.bytes, errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
