-- Gives back what a job of a key held, but for what it has used.
--
-- ARGV  1 job id, 2 tokens that it has used, or '' for all that were taken
-- RETURN 1 if it held something

return settle(ARGV[1], tonumber(ARGV[2]), now_ms())
