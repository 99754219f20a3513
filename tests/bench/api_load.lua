-- The requests of `bench.py api`, for wrk: wrk ... -s api_load.lua URL -- create|get|etcd-put RUN [TOKEN]
--
-- "create" posts ConfigMaps of 600 stored bytes, "get" asks for those that bench.py made, "etcd-put"
-- puts the same bytes into etcd through its gateway. Prints one line of JSON.

local stored_bytes = 600
local objects_to_get = 512
local count = 0
local failed = 0
local kind, run, headers

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
    local out = {}
    for i = 1, #text, 3 do
        local a, b, c = text:byte(i, i + 2)
        local bits = a * 65536 + (b or 0) * 256 + (c or 0)
        for place = 3, 0, -1 do
            local digit = math.floor(bits / 64 ^ place) % 64 + 1
            local pad = (place == 1 and not b) or (place == 0 and not c)
            out[#out + 1] = pad and "=" or alphabet:sub(digit, digit)
        end
    end
    return table.concat(out)
end

local config_map = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"v":"'
    .. string.rep("x", stored_bytes - 160) .. '"}}'
local etcd_value = base64(string.rep("x", stored_bytes))

function init(arguments)
    kind, run = arguments[1], arguments[2]
    headers = { ["Content-Type"] = "application/json" }
    if arguments[3] then headers["Authorization"] = "Bearer " .. arguments[3] end
end

function request()
    count = count + 1
    if kind == "get" then
        local path = "/api/v1/namespaces/default/configmaps/get-" .. count % objects_to_get
        return wrk.format("GET", path, headers)
    end
    local name = "load-" .. run .. "-" .. count
    if kind == "create" then
        local path = "/api/v1/namespaces/default/configmaps"
        return wrk.format("POST", path, headers, config_map:format(name))
    end
    local key = base64("/registry/configmaps/default/" .. name)
    return wrk.format("POST", "/v3/kv/put", headers, '{"key":"' .. key .. '","value":"' .. etcd_value .. '"}')
end

function done(summary, latency)
    local errors = summary.errors
    failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format('{"rate":%.0f,"p50":%.2f,"p99":%.2f,"failed":%d}\n',
        (summary.requests - errors.status) / summary.duration * 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
