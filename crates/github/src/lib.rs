//! GitHub as a forge: webhooks in, REST and GraphQL out
