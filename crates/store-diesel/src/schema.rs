diesel::table! {
    issue (id) {
        id -> Text,
        platform -> Text,
        repo -> Text,
        number_api -> BigInt,
        number_display -> BigInt,
        title -> Text,
        body -> Text,
        author -> Text,
        status -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
        owner -> Nullable<Text>,
        tracker -> Nullable<Text>,
        labels -> Text,
    }
}

diesel::table! {
    ledger (day, repo) {
        day -> Text,
        repo -> Text,
        calls -> BigInt,
        prompt_tokens -> BigInt,
        completion_tokens -> BigInt,
        cost_micros -> BigInt,
    }
}

diesel::table! {
    job (id) {
        id -> Text,
        issue_id -> Text,
        platform -> Text,
        repo -> Text,
        number_api -> BigInt,
        number_display -> BigInt,
        tracker -> Nullable<Text>,
        title -> Text,
        job_trigger -> Text,
        branch -> Text,
        base_branch -> Text,
        publish -> Text,
        status -> Text,
        not_before -> Nullable<BigInt>,
        lease -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        epoch -> BigInt,
        attempts -> BigInt,
        rework -> Nullable<Text>,
        published -> Text,
        outcome -> Nullable<Text>,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        updated_at -> BigInt,
        revision -> BigInt,
        actor -> Text,
        follows -> Nullable<Text>,
        needs -> Text,
        command -> Nullable<Text>,
        rank -> BigInt,
        review -> Nullable<Text>,
    }
}

diesel::table! {
    job_stage (job_id, stage) {
        job_id -> Text,
        stage -> Text,
        status -> Text,
        started_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        report -> Nullable<Text>,
        comment -> Nullable<Text>,
        reason -> Nullable<Text>,
        usage -> Text,
    }
}

diesel::table! {
    task (id) {
        id -> Text,
        job_id -> Text,
        issue_id -> Text,
        node -> Text,
        status -> Text,
        attempt -> BigInt,
        result_branch -> Nullable<Text>,
        error_message -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        started_at -> Nullable<BigInt>,
        completed_at -> Nullable<BigInt>,
        heard -> BigInt,
        model -> Text,
    }
}

diesel::table! {
    delivery (platform, id) {
        platform -> Text,
        id -> Text,
        identity -> Nullable<Text>,
        event_type -> Text,
        job_id -> Nullable<Text>,
        received_at -> BigInt,
        payload -> Binary,
    }
}

diesel::table! {
    readiness (id) {
        id -> Integer,
        checked_at -> BigInt,
    }
}

diesel::table! {
    trigger_request (id) {
        id -> Text,
        platform -> Text,
        repo -> Text,
        number_api -> BigInt,
        actor -> Text,
        body -> Text,
        status -> Text,
        answered_at -> Nullable<BigInt>,
        attempts -> BigInt,
        not_before -> BigInt,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    effect (id) {
        id -> Text,
        issue_id -> Text,
        job_id -> Nullable<Text>,
        kind -> Text,
        body -> Text,
        status -> Text,
        attempts -> BigInt,
        not_before -> BigInt,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    local_comment (id) {
        id -> BigInt,
        repo -> Text,
        number_api -> BigInt,
        author -> Text,
        body -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    local_pull_request (repo, number_api) {
        repo -> Text,
        number_api -> BigInt,
        head -> Text,
        base -> Text,
        title -> Text,
        body -> Text,
        draft -> Bool,
        state -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    run_sum (dimension, day, name) {
        dimension -> Text,
        day -> Text,
        name -> Text,
        succeeded -> BigInt,
        failed -> BigInt,
        cancelled -> BigInt,
        calls -> BigInt,
        prompt_tokens -> BigInt,
        completion_tokens -> BigInt,
        cost_micros -> BigInt,
    }
}

diesel::table! {
    run_bucket (dimension, day, name, kind, bucket) {
        dimension -> Text,
        day -> Text,
        name -> Text,
        kind -> Text,
        bucket -> BigInt,
        runs -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(issue, job, job_stage, task, delivery, effect);

diesel::table! {
    account (id) {
        id -> Text,
        login -> Text,
        role -> Text,
        password -> Nullable<Text>,
        active -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    session (hash) {
        hash -> Text,
        account_id -> Text,
        csrf -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        client -> Text,
    }
}

diesel::table! {
    preference (account_id, name) {
        account_id -> Text,
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    api_token (id) {
        id -> Text,
        account_id -> Text,
        name -> Text,
        scope -> Text,
        hash -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    repository (id) {
        id -> Text,
        platform -> Text,
        name -> Text,
        created_at -> BigInt,
        synced_at -> Nullable<BigInt>,
        settings -> Text,
    }
}

diesel::table! {
    audit (id) {
        id -> Text,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        subject -> Text,
        detail -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(account, session);
diesel::allow_tables_to_appear_in_same_query!(account, api_token);

diesel::table! {
    node (id) {
        id -> Text,
        name -> Text,
        labels -> Text,
        own_labels -> Text,
        push_url -> Nullable<Text>,
        capacity -> BigInt,
        draining -> Bool,
        join_hash -> Nullable<Text>,
        join_until -> Nullable<BigInt>,
        token_hash -> Nullable<Text>,
        version -> Nullable<Text>,
        health -> Text,
        instance -> Nullable<Text>,
        created_at -> BigInt,
        registered_at -> Nullable<BigInt>,
        seen_at -> Nullable<BigInt>,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    node_success (node_id, repo) {
        node_id -> Text,
        repo -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    task_log (task_id, piece) {
        task_id -> Text,
        piece -> BigInt,
        start -> BigInt,
        length -> BigInt,
        at -> BigInt,
        text -> Binary,
    }
}

diesel::table! {
    model_call (task_id, number) {
        task_id -> Text,
        number -> BigInt,
        job_id -> Text,
        at -> BigInt,
        purpose -> Text,
        model -> Text,
        usage -> Text,
        millis -> BigInt,
        error -> Nullable<Text>,
        said -> Binary,
    }
}

diesel::table! {
    conversation (job_id) {
        job_id -> Text,
        at -> BigInt,
        text -> Binary,
    }
}

diesel::table! {
    credential (id) {
        id -> Text,
        name -> Text,
        platform -> Text,
        scope -> Text,
        login -> Text,
        fingerprint -> Text,
        key_id -> Text,
        sealed -> Binary,
        created_by -> Text,
        created_at -> BigInt,
        changed_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    setting (name) {
        name -> Text,
        key_id -> Text,
        sealed -> Binary,
        changed_by -> Text,
        changed_at -> BigInt,
    }
}

diesel::table! {
    channel (id) {
        id -> Text,
        name -> Text,
        kind -> Text,
        target -> Text,
        events -> Text,
        repo -> Nullable<Text>,
        owner -> Nullable<Text>,
        key_id -> Nullable<Text>,
        sealed -> Nullable<Binary>,
        created_at -> BigInt,
    }
}

diesel::table! {
    notice (id) {
        id -> Text,
        channel_id -> Text,
        cause -> Text,
        body -> Text,
        status -> Text,
        attempts -> BigInt,
        not_before -> BigInt,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(channel, notice);

diesel::table! {
    identity (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        account_id -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(account, identity);

diesel::table! {
    master_key (id) {
        id -> Integer,
        key_id -> Text,
    }
}

diesel::table! {
    request (key_hash) {
        key_hash -> Text,
        asked -> Text,
        status -> Nullable<BigInt>,
        kind -> Nullable<Text>,
        body -> Nullable<Binary>,
        created_at -> BigInt,
    }
}

diesel::table! {
    jira_workspace (id) {
        id -> Text,
        name -> Text,
        jira_cloud_id -> Nullable<Text>,
        admin_user_id -> Text,
        status -> Text,
        svc_account_id -> Nullable<Text>,
        key_id -> Text,
        sealed -> Binary,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    jira_project (workspace_id, project_key) {
        workspace_id -> Text,
        project_key -> Text,
        platform -> Text,
        repo -> Text,
    }
}

diesel::table! {
    jira_user (id) {
        id -> Text,
        user_id -> Text,
        jira_user_id -> Text,
        workspace_id -> Text,
        display_name -> Text,
        status -> Text,
        key_id -> Nullable<Text>,
        sealed -> Nullable<Binary>,
        held_until -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    jira_conversation (conversation_id) {
        conversation_id -> Text,
        workspace_id -> Text,
        issue_id -> Text,
        issue_key -> Text,
        jira_user_id -> Text,
        platform -> Nullable<Text>,
        repo -> Nullable<Text>,
        asked -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    jira_state (hash) {
        hash -> Text,
        key_id -> Text,
        sealed -> Binary,
        expires_at -> BigInt,
    }
}

diesel::table! {
    jira_seen (name) {
        name -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    jira_event (id) {
        id -> Text,
        workspace_id -> Text,
        delivery_id -> Text,
        issue_id -> Text,
        body -> Text,
        status -> Text,
        attempts -> BigInt,
        not_before -> BigInt,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    forge_account (platform, login) {
        platform -> Text,
        login -> Text,
        account_id -> Text,
    }
}

diesel::table! {
    repository_member (platform, repo, account_id) {
        platform -> Text,
        repo -> Text,
        account_id -> Text,
    }
}

// Subselects of deletions.
diesel::allow_tables_to_appear_in_same_query!(task_log, task);
diesel::allow_tables_to_appear_in_same_query!(task_log, job);
diesel::allow_tables_to_appear_in_same_query!(model_call, job);
diesel::allow_tables_to_appear_in_same_query!(conversation, job);
diesel::allow_tables_to_appear_in_same_query!(delivery, trigger_request);
diesel::allow_tables_to_appear_in_same_query!(notice, effect);
diesel::allow_tables_to_appear_in_same_query!(notice, issue);
