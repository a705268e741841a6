//! One outgoing HTTP client with time-outs, retries, redaction and address rules
