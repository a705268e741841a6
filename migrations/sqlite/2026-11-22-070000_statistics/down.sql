DROP TABLE run_bucket;
DROP TABLE run_sum;
