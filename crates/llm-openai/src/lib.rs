//! A client for OpenAI-compatible chat completion servers
