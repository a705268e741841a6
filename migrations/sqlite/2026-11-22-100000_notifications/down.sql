DROP TABLE notice;
DROP TABLE channel;
