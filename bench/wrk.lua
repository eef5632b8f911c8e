-- wrk's summary as the JSON that bench/http_client.py answers with.
done = function(summary, latency, requests)
  local errors = summary.errors
  local refused = errors.status
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"seconds":%f,"answered":%d,"refused":{"status":%d,"connection":%d},"p50_ms":%f,"p95_ms":%f,"p99_ms":%f,"max_ms":%f}\n',
    summary.duration / 1e6, summary.requests - refused, refused, failed,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
