#!lua flags=allow-oom
-- End deliveries, each only if its job runs under the token that its worker was given.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   then for each ending: id, head, detail, result, failure (see the include)
-- Returns a code for each
-- Codes applied, stale, missing
-- include: clock
-- include: finish

return finish(clock(ARGV[1]), 2)
