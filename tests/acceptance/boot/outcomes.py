"""The table: what each room can do. Everything else that acts/ tries must be refused, in every room and in a worker.

Each row says why a room may. Acts that no control can do here either are named at the end: their refusal shows nothing.
"""

_ALL_ROOMS = {
    "drop_a_table_of_the_journal",  # the journal is shared state, not a wall; what is read from it is checked
    "leave_a_file_beside_the_journal",  # SQLite makes its -wal and -shm there
    "read_a_childs_memory_by_file",  # of one's own child, which is no secret to its parent
    "read_another_rooms_announcement",  # a process number and a port: the page of metrics tells who is up
    "read_the_configuration",
    "ring_another_room",
    "run_python",  # infer starts workers; the same list of programs for all
}

ALLOWED = {
    "receive": _ALL_ROOMS
    | {
        "list_the_spool",
        "open_up_a_sealed_object",  # its own file: it may destroy what it sealed, and cannot open it
        "read_a_sealed_object",  # the sealed bytes
        "read_the_resend_key",
        "remove_a_sealed_object",
        "write_into_the_spool",
        "write_the_key_slots",
    },
    "infer": _ALL_ROOMS
    | {
        "list_the_outbox",
        "list_the_spool",
        "map_an_anonymous_file_to_run",  # models and images go to workers as sealed memory; it runs Python anyway
        "read_a_sealed_object",
        "read_the_opening_key",
        "read_the_signing_key",
        "remove_a_sealed_object",  # it erases
        "run_an_anonymous_file",
        "write_into_the_outbox",
        "write_into_the_spool",
        "write_the_key_slots",  # it erases
    },
    "worker": set[str](),
    "deliver": _ALL_ROOMS
    | {
        "connect_to_the_destination",
        "datagram_outside_from_the_passed_bell",
        "datagram_to_an_abstract_name",  # it is in the host's network: only Landlock (Linux 6.12) could stop these two
        "list_the_outbox",
    },
}

WITHOUT_ADDRESS_FILTER = {
    "ask_dns",
    "connect_by_ipv6",
    "connect_to_another_loopback_address",
    "connect_to_another_machine",
    "send_udp",
}
"""What deliver can do besides where control groups are as of old: PID 1 cannot filter addresses there."""

NOT_SHOWN_HERE = {
    # the kernels of the test machines lack it, or hold it back from every container
    "bluetooth_socket", "kernel_crypto_socket", "load_a_module", "load_a_module_from_a_file", "load_another_kernel",
    "remove_a_module", "open_the_kernel_log", "open_the_kernels_core", "open_the_memory", "open_the_ports",
    "open_the_virtualiser", "open_user_file_systems", "change_a_device_setting", "change_a_kernel_setting",
    "write_as_the_network_manager", "call_as_x32", "ping_socket", "watch_the_processor", "trace_the_kernel",
    # tried with arguments that harm nothing, so that even root gets another error than ours
    "account_for_processes", "adjust_the_clock", "advise_another_process", "ask_for_quotas", "change_memory_keys",
    "move_memory_between_nodes", "open_a_file_by_handle", "pivot_the_root", "raise_a_limit", "reboot",
    "set_the_clock", "start_swapping", "take_all_capabilities",
}  # fmt: skip
