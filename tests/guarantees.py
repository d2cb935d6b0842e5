"""What this product promises, where each promise comes from, and the tests that show it.

P1 to P57 are bugs and attacks that projects which let agents make agents have met; T1 to T21 are published attacks and
incidents; G are the guards of the rule book, in the order in which they are asked; A is what the API server itself
refuses. `docs/guarantees.md` is made of this with `make guarantees`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

APPROVAL = "attacks/test_attacks_on_approval.py"
CHANNEL = "attacks/test_attacks_on_channel.py"
CONTENT = "attacks/test_attacks_on_content.py"
COUNTING = "attacks/test_attacks_on_counting.py"
DEPENDENCIES = "attacks/test_attacks_on_dependencies.py"
FREEZE = "attacks/test_attacks_on_freeze.py"
IDENTITY = "attacks/test_attacks_on_identity.py"
LIFECYCLE = "attacks/test_attacks_on_lifecycle.py"
LINEAGE = "attacks/test_attacks_on_lineage.py"
NARROWING = "attacks/test_attacks_on_narrowing.py"
POLICY = "attacks/test_attacks_on_policy.py"
REGISTRY = "attacks/test_attacks_on_registry.py"
REGISTRY_FAULTS = "attacks/test_attacks_on_registry_faults.py"
REGISTRY_TEXT = "attacks/test_attacks_on_registry_text.py"
REGISTRY_VISIBILITY = "attacks/test_attacks_on_registry_visibility.py"
TASKS = "attacks/test_attacks_on_tasks.py"

CROSSING = "faults/test_crossing.py"
DRIFT = "faults/test_refused_at_apply.py"
KILLED = "faults/test_killed.py"
KILLED_IN_TREES = "faults/test_killed_in_trees.py"
LEADER_KILLED = "faults/test_leader_killed.py"
LOST_ANSWERS = "faults/test_lost_answers.py"
PAUSED = "faults/test_paused.py"
RACES = "faults/test_races.py"
RACES_WITH_RETIREMENT = "faults/test_races_with_retirement.py"
EVERY_REQUEST = "faults/test_every_request.py"
FAILING_PARTS = "faults/test_dependencies.py"
FUZZED_APPROVALS = "fuzz/test_fuzz_approvals.py"
FUZZED_RULES = "fuzz/test_fuzz_rules.py"
FUZZED_TOOLS = "fuzz/test_fuzz_tools.py"
STORM = "faults/test_storm.py"

LOCK = "deploy/test_lock.py"
SHAPE = "deploy/test_shape.py"
SHAPE_OF_IMAGES = "deploy/test_shape_with_images.py"
IMPERSONATION = "deploy/test_impersonation.py"

DECISIONS = "deploy/test_decisions_of_people.py"
DECISIONS_AS_STORED = "deploy/test_decisions_as_stored.py"
DECISIONS_TAKEN_BACK = "deploy/test_taking_decisions_back.py"

RUNTIME = "clients/test_kagent_runtime.py"
AT_WORK = "agents/test_agents_at_work.py"
KILLED_AT_WORK = "agents/test_agents_and_killed_servers.py"
MISBEHAVING = "agents/test_agents_that_misbehave.py"
ARCHITECTURE = "test_architecture.py"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One promise. `tests` are node ids below tests/, or files for all of theirs; `why_not` says why none applies."""

    id: str
    promise: str
    source: str
    tests: Sequence[str] = ()
    why_not: str = ""


def of(file: str, *names: str) -> list[str]:
    """Tests of one file."""
    return [f"{file}::{name}" for name in names]


def every(*files: str) -> list[str]:
    """All tests of these files."""
    return list(files)


PITFALLS = [
    Guarantee(
        "P1",
        "Who calls, and for whom, is read from the credential alone; arguments, metadata and headers say nothing.",
        "tandem; rossoctl's and kars' stamped identity",
        of(
            IDENTITY,
            "test_there_is_no_argument_that_says_who_one_is",
            "test_metadata_and_headers_that_say_who_one_is_are_not_read",
        ),
    ),
    Guarantee(
        "P2",
        "Whoever names no parent has the one that its credential says.",
        "kars",
        of(IDENTITY, "test_whoever_names_no_parent_is_bound_to_the_token_all_the_same")
        + of(LINEAGE, "test_a_tree_is_as_deep_as_its_parts_say_and_stamped_so"),
    ),
    Guarantee(
        "P3",
        "A new session, a retry, a restart or another server changes no limit and nobody's ownership.",
        "zeph #4690, EDDI #649",
        of(IDENTITY, "test_a_new_session_and_another_server_see_the_same_caller_and_the_same_limits")
        + of(COUNTING, "test_the_same_request_over_and_over_is_one_proposal_and_one_agent")
        + of(LINEAGE, "test_a_service_account_that_was_made_again_waits_for_a_persons_word")
        + of(KILLED, "test_killed_between_reserve_and_create"),
    ),
    Guarantee(
        "P4",
        "Rights that were taken away, or a parent that has left, between propose and apply are noticed at apply.",
        "AGT",
        of(DRIFT, "test_rights_that_were_taken_away")
        + of(LINEAGE, "test_a_parent_that_is_retired_while_its_child_is_applied_leaves_no_child")
        + of(LINEAGE, "test_a_credential_ends_with_its_agent_and_its_secret_goes_with_it"),
    ),
    Guarantee(
        "P5",
        "A namesake owns nothing: neither an Agent nor a service account that was made again under the same name.",
        "a pitfall of names",
        of(
            LINEAGE,
            "test_a_namesake_of_a_parent_is_no_parent",
            "test_a_service_account_that_was_made_again_waits_for_a_persons_word",
        )
        + of(
            "operations/test_counts.py",
            "test_a_recreated_service_account_gives_no_work_to_the_old_tree_before_a_person_said_so",
        ),
    ),
    Guarantee(
        "P6",
        "A subagent that asks for its own like is judged as any other request is, and never past the list.",
        "OpenClaw #72827",
        of(LINEAGE, "test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped"),
    ),
    Guarantee(
        "P7",
        "Tools that have nothing in common with what is allowed are refused: nothing is never everything.",
        "AGT, nucleus #2491",
        of(NARROWING, "test_only_tools_that_are_not_allowed_give_no_agent_and_not_one_with_all_tools")
        + of(LINEAGE, "test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped"),
    ),
    Guarantee(
        "P8",
        "What is left out is filled in first and judged then; the API server fills in nothing afterwards.",
        "EDDI #661",
        of(
            NARROWING,
            "test_what_was_left_out_is_filled_in_before_it_is_judged",
            "test_what_stands_in_the_cluster_is_what_was_proposed_to_the_byte",
        ),
    ),
    Guarantee(
        "P9",
        "A tool, a model or a server has one name; other cases, spaces, dots and look-alikes are refused.",
        "OpenClaw #31311",
        of(
            NARROWING,
            "test_a_tool_is_named_exactly_as_the_template_allows_it_or_refused",
            "test_a_model_is_named_exactly_as_the_template_allows_it_or_refused",
        ),
    ),
    Guarantee(
        "P10",
        "A wildcard or a prefix names no tool.",
        "AGT's ban of wildcards",
        of(NARROWING, "test_a_tool_is_named_exactly_as_the_template_allows_it_or_refused"),
    ),
    Guarantee(
        "P11",
        "A model is one of the template's ModelConfigs as a whole: no provider can be paired with another's model.",
        "EDDI's credential rules",
        of(NARROWING, "test_a_model_is_named_exactly_as_the_template_allows_it_or_refused"),
    ),
    Guarantee(
        "P12",
        "A child never outlives its parent; a life that is left out is judged as the default that it becomes.",
        "kars",
        of(LINEAGE, "test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped")
        + of(NARROWING, "test_a_life_is_no_longer_than_the_templates_longest"),
    ),
    Guarantee(
        "P13",
        "Isolation is nobody's to lower: no argument names it, and the API server refuses every field that would.",
        "kars",
        of(NARROWING, "test_no_argument_widens_what_a_template_gives")
        + of(SHAPE, "test_a_field_that_escalates_is_refused"),
    ),
    Guarantee(
        "P14",
        "The very bytes that were judged and approved are created; a proposal that holds other bytes is none.",
        "kars, EDDI",
        of(
            NARROWING,
            "test_what_stands_in_the_cluster_is_what_was_proposed_to_the_byte",
            "test_a_proposal_that_was_forged_in_the_store_makes_no_agent",
        )
        + of("deploy/test_own.py", "test_a_proposal_never_changes"),
    ),
    Guarantee(
        "P15",
        "No server, image, account, variable or namespace is added, and no tool approval is dropped.",
        "kars, kagent",
        of(
            NARROWING,
            "test_no_argument_widens_what_a_template_gives",
            "test_a_parameter_that_the_template_does_not_have_is_refused",
            "test_a_tool_that_needs_a_persons_approval_keeps_that",
        )
        + of(LINEAGE, "test_a_child_keeps_the_tool_approval_of_its_parent")
        + of(SHAPE, "test_a_field_that_escalates_is_refused"),
    ),
    Guarantee(
        "P16",
        "Who may not spawn holds no spawn tool, whatever the server that offers it is called.",
        "RikkaRs #4",
        of(
            LINEAGE,
            "test_a_leaf_holds_no_spawn_tool_and_no_credential",
            "test_the_spawn_tools_are_given_by_depth_alone_whatever_they_are_called",
        ),
    ),
    Guarantee(
        "P17",
        "No subagent has another agent, or itself, as its tool.",
        "kagent's compiler",
        of(NARROWING, "test_a_tool_is_named_exactly_as_the_template_allows_it_or_refused")
        + of(SHAPE, "test_a_field_that_escalates_is_refused"),
    ),
    Guarantee(
        "P18",
        "Nothing is gained by leaving and coming back: how such subagents have done is their root's record, and stays.",
        "AGT's and kars' trust scores",
        of(TASKS, "test_a_record_of_failure_is_not_washed_off_by_making_the_subagent_anew"),
    ),
    Guarantee(
        "P19",
        "Many applies at once at a limit make exactly as many Agents as the limit, over any number of servers.",
        "OpenClaw #112615",
        of(RACES, "test_forty_applies_at_once_on_two_servers_make_exactly_as_many_agents_as_the_limit")
        + of(COUNTING, "test_many_applies_at_once_on_two_servers_make_as_many_agents_as_the_limit"),
    ),
    Guarantee(
        "P20",
        "A limit belongs to the root, not to a turn, a member of its tree, or a server.",
        "EDDI, omnigent",
        of(COUNTING, "test_many_applies_at_once_on_two_servers_make_as_many_agents_as_the_limit")
        + of(LINEAGE, "test_the_roots_limit_holds_for_the_whole_tree"),
    ),
    Guarantee(
        "P21",
        "Making and retiring in a loop ends at the limit of a day.",
        "pi's fan-out budget",
        of(COUNTING, "test_making_and_retiring_in_a_loop_ends_at_the_days_limit"),
    ),
    Guarantee(
        "P22",
        "A tree is not larger than its root's limit, however small each of its parts is.",
        "pi, oh-my-openagent",
        of(LINEAGE, "test_the_roots_limit_holds_for_the_whole_tree"),
    ),
    Guarantee(
        "P23",
        "A create that fails gives its place back, and still counts as a change.",
        "afk",
        of(COUNTING, "test_what_fails_at_the_api_server_gives_its_place_back_and_counts_as_a_change")
        + of(CROSSING, "test_an_apply_that_is_refused_gives_back_its_own_reservation_and_not_a_later_one"),
    ),
    Guarantee(
        "P24",
        "A list that can not be read is never read as an empty one.",
        "kars",
        of(
            DEPENDENCIES,
            "test_without_an_answer_nothing_is_proposed",
            "test_without_an_answer_nothing_is_made_and_retiring_goes_on",
        ),
    ),
    Guarantee(
        "P25",
        "An Agent counts until it is gone, and no longer.",
        "OpenClaw",
        of(
            CROSSING,
            "test_an_agent_that_is_not_gone_yet_keeps_its_slot",
            "test_an_agent_that_appears_while_its_reservation_is_fenced_keeps_its_slot_until_it_is_gone",
            "test_an_apply_of_an_agent_that_is_going_makes_no_other_and_frees_nothing",
        )
        + of(LIFECYCLE, "test_retired_means_that_it_is_gone_and_once_more_changes_nothing"),
    ),
    Guarantee(
        "P26",
        "There are no batches, and what is wrong in one place is refused as a whole.",
        "OpenClaw",
        of(
            COUNTING,
            "test_one_request_is_one_call_and_a_batch_is_none",
            "test_what_is_wrong_in_one_place_is_refused_as_a_whole",
        ),
    ),
    Guarantee(
        "P27",
        "Depth is exactly what policy, parent and template leave: none is none, and nobody asks for more.",
        "OpenClaw #112535, Codewhale #5253",
        of(
            LINEAGE,
            "test_depth_is_what_the_policy_leaves_and_not_one_more",
            "test_a_tree_is_as_deep_as_its_parts_say_and_stamped_so",
        ),
    ),
    Guarantee(
        "P28",
        "There is no way past the counts: nobody makes a subagent but the server, for a proposal, once.",
        "omnigent",
        of(
            LOCK,
            "test_whoever_has_every_right_on_agents_still_creates_no_subagent",
            "test_the_server_creates_nothing_as_itself_even_with_every_right",
            "test_one_proposal_makes_one_agent",
        )
        + of(COUNTING, "test_a_proposal_whose_agent_is_gone_makes_no_other"),
    ),
    Guarantee(
        "P29",
        "Two children never spend the same remainder.",
        "tandem, kars",
        why_not="No budgets of tokens or money are granted yet, so there is nothing to divide, refund or switch off.",
    ),
    Guarantee(
        "P30",
        "No agent approves its own proposal, nor a relative's, nor by any account or code of its side.",
        "AISVS 9.2.8",
        of(APPROVAL, "test_nobody_approves_through_the_agents_side")
        + of(IDENTITY, "test_no_tool_approves_takes_yaml_or_names_an_account")
        + of(DECISIONS, "test_what_is_no_person_decides_nothing")
        + of(TASKS, "test_a_tool_approval_is_given_by_a_person_and_by_nothing_that_an_agent_says"),
    ),
    Guarantee(
        "P31",
        "A decision is about these very bytes: other parameters, another template or policy is another matter.",
        "tandem",
        of(
            APPROVAL,
            "test_a_decision_on_other_bytes_or_another_object_is_none",
            "test_a_decision_on_one_proposal_is_none_on_its_like",
            "test_what_drifted_after_the_decision_is_stale_whatever_was_decided",
        )
        + every(DRIFT, "drift/test_drift.py")
        + of(
            REGISTRY,
            "test_an_entry_that_changed_since_it_was_proposed_is_not_applied_whoever_approved",
            "test_an_entry_that_is_gone_is_neither_proposed_nor_applied",
        ),
    ),
    Guarantee(
        "P32",
        "A decision, a proposal and an apply have one effect, however often and wherever they are repeated.",
        "kars' replays",
        of(APPROVAL, "test_a_decision_is_used_once")
        + of(COUNTING, "test_the_same_request_over_and_over_is_one_proposal_and_one_agent")
        + of(
            RACES,
            "test_the_same_apply_at_once_on_two_servers_is_one_agent",
            "test_the_same_propose_at_once_on_two_servers_is_one_proposal",
            "test_after_it_was_retired_the_same_request_makes_a_new_proposal",
        ),
    ),
    Guarantee(
        "P33",
        "A decision that comes too late, or after something has drifted, revives nothing.",
        "kars",
        of(
            APPROVAL,
            "test_a_late_decision_never_revives_a_proposal",
            "test_what_drifted_after_the_decision_is_stale_whatever_was_decided",
        ),
    ),
    Guarantee(
        "P34",
        "A verdict is one of two words, and a wait has a bound.",
        "kars' approvals",
        of(APPROVAL, "test_a_verdict_is_one_of_two_words", "test_a_late_decision_never_revives_a_proposal")
        + every(FUZZED_APPROVALS),
    ),
    Guarantee(
        "P35",
        "A flood of proposals fills its own caller's places and nobody else's, and the same request is one.",
        "PostHog #67967, Yuzu #2765",
        of(APPROVAL, "test_a_flood_of_proposals_fills_the_callers_own_places_only")
        + of(COUNTING, "test_an_open_proposal_takes_a_place_until_it_is_withdrawn"),
    ),
    Guarantee(
        "P36",
        "What is put before a person holds nothing that the person can not see.",
        "kubernaut, Checkmarx",
        of(APPROVAL, "test_nothing_that_a_person_could_not_see_is_put_before_one")
        + of(CONTENT, "test_a_hostile_text_enters_no_proposal"),
    ),
    Guarantee(
        "P37",
        "A low risk that asks for much is no low risk, and a yes to a parent is none to its child.",
        "a pitfall of wrappers",
        of(APPROVAL, "test_what_a_low_risk_asks_for_raises_it")
        + of(LINEAGE, "test_a_persons_yes_to_a_parent_is_none_to_its_child"),
    ),
    Guarantee(
        "P38",
        "Where decisions can not be read, nothing that needs one is made.",
        "kars",
        of(DEPENDENCIES, "test_without_an_answer_nothing_is_made_and_retiring_goes_on"),
    ),
    Guarantee(
        "P39",
        "A name that is taken is never adopted, and nothing is said of whoever has it.",
        "kars, relay #1438",
        of(LIFECYCLE, "test_a_name_that_is_taken_is_never_adopted_and_says_nothing_of_its_holder"),
    ),
    Guarantee(
        "P40",
        "A crash between any two steps leaves something that the next call or repair completes or releases.",
        "the store's protocol",
        every(EVERY_REQUEST, KILLED, KILLED_IN_TREES, LOST_ANSWERS, PAUSED, STORM, KILLED_AT_WORK),
    ),
    Guarantee(
        "P41",
        "Only an own, living Agent is retired: no stranger's, no person's, no namesake's; and under any policy.",
        "EDDI",
        of(IDENTITY, "test_what_belongs_to_another_caller_is_as_unknown_as_what_never_was")
        + of(
            LIFECYCLE,
            "test_an_agent_that_people_made_is_not_seen_and_not_retired",
            "test_a_name_that_somebody_used_again_is_not_the_agent_that_was",
            "test_retiring_goes_on_when_the_policy_allows_nothing_any_more",
        )
        + of(LINEAGE, "test_a_subagent_sees_and_retires_what_is_below_it_alone"),
    ),
    Guarantee(
        "P42",
        "Retired means gone: until then the answer says retiring, and the place is held.",
        "EDDI",
        of(LIFECYCLE, "test_retired_means_that_it_is_gone_and_once_more_changes_nothing")
        + of(CROSSING, "test_an_agent_that_is_not_gone_yet_keeps_its_slot"),
    ),
    Guarantee(
        "P43",
        "Nothing brings a retired Agent back: no old copy, no late create.",
        "OpenClaw",
        of(LIFECYCLE, "test_a_retired_agent_stays_gone_whatever_is_called_then")
        + of(
            PAUSED,
            "test_an_apply_paused_while_its_agent_was_made_and_retired_makes_no_second_one",
            "test_a_create_that_arrives_after_its_writer_ended_and_was_given_up_is_removed_by_repair",
        )
        + of(CROSSING, "test_an_apply_that_read_its_proposal_before_it_was_spent_reserves_nothing")
        + of(TASKS, "test_a_handle_is_the_callers_on_every_server_and_outlives_its_agent"),
    ),
    Guarantee(
        "P44",
        "With an Agent goes all that is below it; what is not gone yet is named.",
        "EDDI's teardown",
        of(LINEAGE, "test_what_is_below_a_retired_agent_goes_with_it")
        + of(KILLED_IN_TREES, "test_killed_between_the_top_of_a_tree_and_what_is_below_it")
        + of(KILLED_AT_WORK, "test_a_tree_that_was_being_taken_down_when_the_server_was_killed_is_taken_down"),
    ),
    Guarantee(
        "P45",
        "What is below an Agent that died is taken away, and one whose single task has ended, by any server there is.",
        "gents #382",
        of(LINEAGE, "test_what_is_below_an_agent_that_died_is_taken_away")
        + of(
            TASKS,
            "test_one_that_is_there_for_one_task_goes_when_that_has_ended_and_its_result_stays",
            "test_one_that_is_there_for_one_task_gets_no_second_one_beside_it",
        )
        + every(LEADER_KILLED),
    ),
    Guarantee(
        "P46",
        "A step that can not be taken back is not forgotten: the first reason is said, repair does the rest.",
        "EDDI's roll-back",
        of(PAUSED, "test_what_repair_can_not_do_keeps_nothing_else_waiting")
        + of(CROSSING, "test_an_apply_that_is_refused_gives_back_its_own_reservation_and_not_a_later_one")
        + of(COUNTING, "test_what_fails_at_the_api_server_gives_its_place_back_and_counts_as_a_change"),
    ),
    Guarantee(
        "P47",
        "A parent that can not be read leaves its child with nothing, and not with a part.",
        "kars",
        of(DEPENDENCIES, "test_without_an_answer_nothing_is_made_and_retiring_goes_on"),
    ),
    Guarantee(
        "P48",
        "Without a readable policy nothing is allowed; one that breaks while it is used widens nothing.",
        "tandem",
        of(
            POLICY,
            "test_no_server_starts_on_a_policy_that_can_not_be_read",
            "test_a_policy_that_breaks_while_it_is_used_widens_nothing",
            "test_a_caller_without_a_policy_may_nothing",
        )
        + every(FUZZED_RULES),
    ),
    Guarantee(
        "P49",
        "A list that is null or missing is no list of everything, and no limit is no lack of one.",
        "EDDI",
        of(
            POLICY,
            "test_no_server_starts_on_a_policy_that_can_not_be_read",
            "test_a_limit_of_nothing_allows_nothing",
        ),
    ),
    Guarantee(
        "P50",
        "Every guard of the rule book acts on the real tool, and not in its own tests alone.",
        "zeph #6493",
        of(POLICY, "test_each_guard_of_the_rule_book_acts_on_the_real_tool") + every(RUNTIME),
    ),
    Guarantee(
        "P51",
        "An audit that was altered, cut or mixed is found out; without an audit nothing is changed.",
        "kars' receipts, AGT's limits",
        of(
            CHANNEL,
            "test_an_audit_that_was_altered_is_found_out",
            "test_a_line_of_another_log_is_found_out",
            "test_without_an_audit_nothing_is_changed",
        ),
    ),
    Guarantee(
        "P52",
        "Secrets, tokens and a request's words are in no log, no refusal and no audit, and no name makes a line there.",
        "ark #2326",
        of(
            CHANNEL,
            "test_what_was_said_in_confidence_is_in_no_log_no_refusal_and_no_audit",
            "test_a_name_makes_no_line_in_a_log_or_the_audit",
        )
        + of(LINEAGE, "test_a_credential_is_in_no_answer_no_ledger_and_no_audit")
        + of(TASKS, "test_what_is_said_between_a_caller_and_its_subagent_is_in_no_audit"),
    ),
    Guarantee(
        "P53",
        "What a registry says of its agents changes no decision; who gives orders there is flagged and comes last.",
        "Invariant's tool poisoning",
        of(
            REGISTRY_TEXT,
            "test_an_order_in_any_field_of_an_entry_changes_no_byte_of_what_is_decided",
            "test_an_order_in_any_field_of_an_image_changes_no_byte_of_what_is_decided",
            "test_an_order_is_no_way_past_a_refusal",
            "test_whoever_gives_orders_is_flagged_and_comes_last",
        ),
    ),
    Guarantee(
        "P54",
        "What is too large, too deep, too many or unknown is refused in few words.",
        "kars' strict input",
        of(CHANNEL, "test_what_is_too_large_too_deep_or_unknown_is_refused_shortly") + every(FUZZED_TOOLS),
    ),
    Guarantee(
        "P55",
        "What a caller may not see or use shows in no hit, count, score, cursor or error of a search.",
        "a pitfall of search",
        of(IDENTITY, "test_a_search_finds_nothing_that_the_caller_may_not_use") + every(REGISTRY_VISIBILITY),
    ),
    Guarantee(
        "P56",
        "No answer tells one caller of another: neither numbers nor whether something is there.",
        "tandem's denial codes",
        of(
            IDENTITY,
            "test_no_answer_holds_another_callers_numbers",
            "test_what_belongs_to_another_caller_is_as_unknown_as_what_never_was",
        )
        + of(
            TASKS,
            "test_somebody_elses_task_is_answered_as_one_that_never_was",
            "test_somebody_elses_agent_gets_no_work_and_is_answered_as_one_that_never_was",
        ),
    ),
    Guarantee(
        "P57",
        "A freeze stops propose and apply on every server, and looking and retiring go on.",
        "AISVS 9.1.3",
        every(FREEZE),
    ),
]

ATTACKS = [
    Guarantee(
        "T1",
        "No text of a caller ever comes near a shell: nothing here starts one.",
        "CVE-2025-53355, CVE-2025-66404, CVE-2025-59377, CVE-2025-65719",
        of(NARROWING, "test_a_name_is_never_a_command_a_flag_or_a_path")
        + of(
            ARCHITECTURE,
            "test_nothing_goes_through_a_shell",
            "test_only_the_local_control_plane_and_two_others_start_processes",
        ),
    ),
    Guarantee(
        "T2",
        "No name is ever a flag or a path.",
        "CVE-2026-39884, GHSA-wmg3-h8mf-wgvr",
        of(NARROWING, "test_a_name_is_never_a_command_a_flag_or_a_path"),
    ),
    Guarantee(
        "T3",
        "A tool that is not listed can not be called.",
        "CVE-2026-46519, CVE-2025-59376",
        of(IDENTITY, "test_a_tool_that_is_not_listed_can_not_be_called"),
    ),
    Guarantee(
        "T4",
        "No header of a caller reaches the API server, and the server is nobody there but its onboarded roots.",
        "CVE-2022-23652, GHSA-pvxj-25m6-7vqr",
        of(IDENTITY, "test_metadata_and_headers_that_say_who_one_is_are_not_read") + every(IMPERSONATION),
    ),
    Guarantee(
        "T5",
        "Nobody alters a subagent: neither its owner nor its labels, not even its root.",
        "CVE-2022-46167",
        of(
            LOCK,
            "test_a_subagent_is_never_altered",
            "test_not_even_its_root_alters_a_subagent",
        ),
    ),
    Guarantee(
        "T6",
        "A value's or a registry's words are data in a fence; tools read the same to everyone, entries as they did.",
        "Invariant's tool poisoning, CyberArk, CVE-2025-54136",
        of(
            NARROWING,
            "test_a_manifest_in_a_value_stays_words_inside_a_fence",
            "test_a_value_can_not_leave_its_fence",
            "test_a_value_holds_no_second_placeholder",
        )
        + of(IDENTITY, "test_the_tools_read_the_same_to_everyone")
        + of(
            REGISTRY_TEXT,
            "test_an_order_in_any_field_of_an_entry_changes_no_byte_of_what_is_decided",
            "test_what_nobody_could_see_is_written_out",
        )
        + of(
            REGISTRY,
            "test_a_hit_becomes_an_agent_when_a_person_has_approved",
            "test_an_entry_that_changed_since_the_search_is_not_proposed",
            "test_an_entry_that_changed_since_it_was_proposed_is_not_applied_whoever_approved",
        ),
    ),
    Guarantee(
        "T7",
        "Whatever a text asks for, nothing but a subagent is ever created.",
        "a pod's log that became a ClusterRoleBinding",
        of(NARROWING, "test_a_manifest_in_a_value_stays_words_inside_a_fence")
        + of(IMPERSONATION, "test_as_a_root_the_server_creates_and_deletes_agents_and_nothing_else"),
    ),
    Guarantee(
        "T8",
        "An agent that copies itself ends at its depth, and its copies count.",
        "arXiv 2412.12140, Morris II, Prompt Infection, arXiv 2605.02812",
        of(
            LINEAGE,
            "test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped",
            "test_the_roots_limit_holds_for_the_whole_tree",
            "test_a_leaf_holds_no_spawn_tool_and_no_credential",
        )
        + of(CONTENT, "test_an_order_that_copies_itself_is_refused"),
    ),
    Guarantee(
        "T9",
        "A loop ends: by its rate, by the limit of a day, or slowed as soon as it is refused.",
        "OpenClaw #68110, #69332, #72732, #37945",
        of(
            COUNTING,
            "test_who_is_refused_over_and_over_is_slowed_and_nobody_else",
            "test_making_and_retiring_in_a_loop_ends_at_the_days_limit",
            "test_the_same_request_over_and_over_is_one_proposal_and_one_agent",
        ),
    ),
    Guarantee(
        "T10",
        "A child's answer is never read as an instruction or an approval.",
        "Unit 42's agent session smuggling",
        of(
            TASKS,
            "test_what_a_subagent_says_is_never_an_approval",
            "test_what_a_subagent_smuggles_stays_data_within_its_fence",
            "test_a_tool_approval_is_given_by_a_person_and_by_nothing_that_an_agent_says",
            "test_one_in_quarantine_gets_no_work",
            "test_no_task_shares_its_conversation_with_one_whose_approval_would_be_taken_for_its_own",
        )
        + of(AT_WORK, "test_a_tool_that_needs_approval_is_called_when_a_person_says_so_and_not_before")
        + of(
            MISBEHAVING,
            "test_hostile_words_come_as_data_with_nothing_hidden_and_no_credential",
            "test_more_than_is_read_ends_the_task_and_nothing_else",
        ),
    ),
    Guarantee(
        "T11",
        "A person decides on the canonical bytes, with no tool to do it for them and no lie before their eyes.",
        "Checkmarx's lies in the loop, kubernaut #1415",
        of(
            APPROVAL,
            "test_nobody_approves_through_the_agents_side",
            "test_a_decision_on_other_bytes_or_another_object_is_none",
            "test_nothing_that_a_person_could_not_see_is_put_before_one",
        )
        + of(IDENTITY, "test_no_tool_approves_takes_yaml_or_names_an_account"),
    ),
    Guarantee(
        "T12",
        "A decision does not win over staleness.",
        "kars before 69e85ca",
        of(
            APPROVAL,
            "test_a_late_decision_never_revives_a_proposal",
            "test_what_drifted_after_the_decision_is_stale_whatever_was_decided",
        ),
    ),
    Guarantee(
        "T13",
        "Every field of an Agent that gives more than a template's is refused, today's and those to come.",
        "kagent's API",
        every(SHAPE, SHAPE_OF_IMAGES, "deploy/test_shape_of_kinds_to_come.py", "deploy/test_reduced_kinds.py")
        + of(NARROWING, "test_no_argument_widens_what_a_template_gives")
        + of(REGISTRY_TEXT, "test_an_entry_gives_an_image_nothing_but_its_name")
        + of(
            REGISTRY,
            "test_an_entrys_tool_servers_become_the_tools_that_the_policy_names_and_no_others",
            "test_nobody_but_the_registry_fills_what_the_registry_fills",
        ),
    ),
    Guarantee(
        "T14",
        "Between looking and reserving nobody slips through.",
        "OpenClaw #112615, EDDI",
        every(RACES, RACES_WITH_RETIREMENT)
        + of(COUNTING, "test_many_applies_at_once_on_two_servers_make_as_many_agents_as_the_limit"),
    ),
    Guarantee(
        "T15",
        "An empty intersection is nothing, and depth never goes below none.",
        "AGT, nucleus",
        of(NARROWING, "test_only_tools_that_are_not_allowed_give_no_agent_and_not_one_with_all_tools")
        + of(
            LINEAGE,
            "test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped",
            "test_depth_is_what_the_policy_leaves_and_not_one_more",
        ),
    ),
    Guarantee(
        "T16",
        "A conflict at the API server is never taken for success, unless it is about this very request.",
        "kars, relay #1438",
        of(LIFECYCLE, "test_a_name_that_is_taken_is_never_adopted_and_says_nothing_of_its_holder")
        + of(LOST_ANSWERS, "test_a_create_whose_answer_is_lost_keeps_its_slot_and_is_found_by_a_retry"),
    ),
    Guarantee(
        "T17",
        "With any part away nothing is spawned, and retiring goes on as far as it can.",
        "fail-open helpers of RHT, ToolHive and KMS",
        every(DEPENDENCIES, FAILING_PARTS, REGISTRY_FAULTS)
        + of(
            REGISTRY,
            "test_nothing_is_taken_of_a_registry_that_does_not_say_what_it_holds_now",
            "test_a_prompt_that_can_not_be_read_now_is_no_empty_prompt",
        ),
    ),
    Guarantee(
        "T18",
        "No secret leaves by an answer, a log, the audit or an error.",
        "KGT's --token, EKS' redaction, ark #2326",
        of(CHANNEL, "test_what_was_said_in_confidence_is_in_no_log_no_refusal_and_no_audit")
        + of(LINEAGE, "test_a_credential_is_in_no_answer_no_ledger_and_no_audit")
        + of(CONTENT, "test_a_hostile_text_enters_no_proposal")
        + of(
            REGISTRY_TEXT,
            "test_an_entrys_words_and_a_registrys_credential_are_in_no_log_no_metric_and_no_audit",
        )
        + of(
            TASKS,
            "test_no_credential_of_a_caller_goes_to_its_subagent",
            "test_what_a_subagent_smuggles_stays_data_within_its_fence",
        ),
    ),
    Guarantee(
        "T19",
        "Ownership and limits know no session: another session, server or restart changes neither.",
        "ASM, MKP and KMS; MCP 2026-07-28",
        of(
            IDENTITY,
            "test_a_new_session_and_another_server_see_the_same_caller_and_the_same_limits",
            "test_without_a_credential_nothing_is_called",
            "test_a_made_up_credential_and_two_of_them_are_no_credential",
            "test_a_token_for_the_api_server_is_not_one_for_us",
            "test_an_account_that_nobody_onboarded_may_call_nothing",
        ),
    ),
    Guarantee(
        "T20",
        "State that a client carries is not read, and a handle is worth nothing to others or when altered.",
        "the MCP specification on requestState",
        of(
            IDENTITY,
            "test_state_that_a_client_claims_to_carry_is_not_read",
            "test_a_handle_is_worth_nothing_to_another_caller_and_nothing_when_altered",
        )
        + of(
            LINEAGE,
            "test_a_credential_is_worth_nothing_when_altered_or_at_the_api_server",
            "test_a_proposal_is_applied_by_its_own_caller_not_by_a_relative",
        )
        + of(
            TASKS,
            "test_a_guessed_handle_finds_nothing",
            "test_somebody_elses_task_is_answered_as_one_that_never_was",
        ),
    ),
    Guarantee(
        "T21",
        "Whoever edits the audit is found out, and whoever takes it away stops every change.",
        "attacks on logs",
        of(
            CHANNEL,
            "test_an_audit_that_was_altered_is_found_out",
            "test_without_an_audit_nothing_is_changed",
        ),
    ),
]

GUARDS = [
    Guarantee("G.freeze", "Is spawning stopped, here or everywhere?", "the rule book", every(FREEZE)),
    Guarantee(
        "G.template",
        "May this caller use this template, by policy and by RBAC?",
        "the rule book",
        of(POLICY, "test_each_guard_of_the_rule_book_acts_on_the_real_tool"),
    ),
    Guarantee(
        "G.registry",
        "Is the registry entry for this caller and this template, with tool servers and an image that are known here?",
        "the rule book",
        every(REGISTRY)
        + of(REGISTRY_VISIBILITY, "test_a_handle_of_what_is_hidden_is_as_unknown_as_one_that_never_was"),
    ),
    Guarantee(
        "G.parameters",
        "Do the values fit the template's schema and the bounds, and can a person see all of them?",
        "the rule book",
        of(POLICY, "test_each_guard_of_the_rule_book_acts_on_the_real_tool")
        + of(NARROWING, "test_a_value_can_not_leave_its_fence"),
    ),
    Guarantee(
        "G.content",
        "Does a text carry a secret, an order, a way out for data, or what nobody can see?",
        "the rule book",
        every(CONTENT),
    ),
    Guarantee(
        "G.manifest",
        "Does the agent keep to its template's models, tools and lifetimes, and are they there?",
        "the rule book",
        of(
            POLICY,
            "test_each_guard_of_the_rule_book_acts_on_the_real_tool",
            "test_a_model_or_a_tool_that_is_not_there_is_refused",
        ),
    ),
    Guarantee(
        "G.crd",
        "Does it fit the kind that the cluster serves now?",
        "the rule book",
        of(POLICY, "test_what_does_not_fit_the_kind_that_the_cluster_serves_is_refused"),
    ),
    Guarantee(
        "G.lineage",
        "Is it within its parent's grant, and is the parent still who it was, alive and staying?",
        "the rule book",
        every(LINEAGE),
    ),
    Guarantee(
        "G.rate",
        "Too many changes at a time, for this caller or its tree?",
        "the rule book",
        of(POLICY, "test_each_guard_of_the_rule_book_acts_on_the_real_tool")
        + of(COUNTING, "test_what_fails_at_the_api_server_gives_its_place_back_and_counts_as_a_change"),
    ),
    Guarantee(
        "G.quota",
        "Is there room: open, alive, and in a day?",
        "the rule book",
        of(
            POLICY,
            "test_each_guard_of_the_rule_book_acts_on_the_real_tool",
            "test_a_limit_of_nothing_allows_nothing",
        )
        + every(COUNTING),
    ),
    Guarantee(
        "G.access",
        "Does the API server accept it, unchanged, as the root's virtual user?",
        "the rule book",
        of(POLICY, "test_what_the_api_server_would_refuse_is_refused_at_propose"),
    ),
    Guarantee(
        "G.approval",
        "Does the risk ask for people, and did enough of them say yes?",
        "the rule book",
        every(APPROVAL),
    ),
]

API_SERVER = [
    Guarantee(
        "A.lock",
        "One proposal is the name of one Agent, made once, by its root, never altered, removed by its root.",
        "agentspawn-lock",
        every(LOCK),
    ),
    Guarantee(
        "A.shape",
        "A subagent has the fields that a template can give, and no others.",
        "agentspawn-shape",
        every(SHAPE),
    ),
    Guarantee(
        "A.shape.images",
        "An image is no subagent; with `deploy/byo` it may be one, by its digest, of a listed repository, and no more.",
        "agentspawn-shape, deploy/byo",
        every(SHAPE_OF_IMAGES)
        + of(
            REGISTRY,
            "test_without_the_overlay_the_api_server_lets_no_image_in_whatever_a_policy_says",
            "test_an_image_becomes_an_agent_where_operators_let_it_in_and_two_people_have_approved",
        )
        + of(
            "deploy/test_shape_of_kinds_to_come.py",
            "test_a_field_that_kagent_adds_later_is_refused_beside_an_image",
        ),
    ),
    Guarantee(
        "A.kin",
        "Models, tool servers and other kinds of kagent beside subagents are the operators' alone.",
        "agentspawn-kin",
        every("deploy/test_kin.py"),
    ),
    Guarantee(
        "A.own",
        "Proposals and ledgers are the server's; a proposal never changes, what was counted never falls.",
        "agentspawn-own",
        every("deploy/test_own.py"),
    ),
    Guarantee(
        "A.reserved",
        "Nobody takes what a subagent's parts are called, its credential included, or runs anything beside it.",
        "agentspawn-reserved",
        every("deploy/test_reserved.py", "deploy/test_reserved_pods.py"),
    ),
    Guarantee(
        "A.quarantine",
        "The server cuts subagents off and gives their ways back, and changes nothing else that limits them.",
        "agentspawn-quarantine",
        every("deploy/test_quarantine.py"),
    ),
    Guarantee(
        "A.approvals",
        "A decision is a person's own, whom RBAC lets approve this proposal, and never changes.",
        "agentspawn-approvals",
        every(DECISIONS, DECISIONS_AS_STORED, DECISIONS_TAKEN_BACK, "deploy/test_approvals.py"),
    ),
    Guarantee(
        "A.answers",
        "A tool approval is answered by a person whom RBAC lets answer that task, in their own name, once and for all.",
        "agentspawn-answers",
        every(DECISIONS, DECISIONS_AS_STORED, DECISIONS_TAKEN_BACK, "deploy/test_answering.py"),
    ),
    Guarantee(
        "A.tasks",
        "A task is the server's to write: whose it is never changes, one that has ended stays so, and few may read it.",
        "the kind SubagentTask",
        every("deploy/test_tasks_as_stored.py"),
    ),
    Guarantee(
        "A.freeze",
        "While a freeze stands no Agent is made, by whomever.",
        "agentspawn-freeze",
        every("deploy/test_freeze.py"),
    ),
    Guarantee(
        "A.people",
        "Freezes and resets are people's, each in their own name.",
        "agentspawn-people",
        every("deploy/test_people.py"),
    ),
    Guarantee(
        "A.quota",
        "A namespace holds as many Agents as its ResourceQuota says, whatever the server thinks.",
        "the ResourceQuota",
        every("deploy/test_quota.py"),
    ),
    Guarantee(
        "A.server",
        "The server has the rights that it uses and no others: it can read no Secret, make no Agent, and be no user "
        "but its roots.",
        "the server's roles",
        every(IMPERSONATION, "deploy/test_files.py", "adapters/kubernetes/test_rights.py"),
    ),
]

GUARANTEES: Sequence[Guarantee] = [*PITFALLS, *ATTACKS, *GUARDS, *API_SERVER]

NOT_SECURITY = {
    "faults/test_proxy.py": "It tests the proxy that the faults are made with.",
}
"""Files in the security tests' folders that show no promise, and why."""
