#include "scenarios.h"

#include "driver.h"

void honest(struct world* world, uint32_t victim) {
  (void)victim;
  all_healthy(world);
}

const struct scenario scenarios[] = {
    {"honest", honest, ONCE, false},
    {"bad_addresses", bad_addresses, EACH_DEVICE, false},
    {"bad_chains", bad_chains, EACH_DEVICE, false},
    {"bad_indices", bad_indices, EACH_DEVICE, false},
    {"buffers_over_rings", buffers_over_rings, EACH_DEVICE, false},
    {"rings_over_rings", rings_over_rings, EACH_DEVICE, false},
    {"all_queues_at_once", all_queues_at_once, EACH_DEVICE, false},
    {"half_initialised", half_initialised, EACH_DEVICE, false},
    {"changes_after_activation", changes_after_activation, EACH_DEVICE, false},
    {"rings_outside_memory", rings_outside_memory, EACH_DEVICE, false},
    {"bad_features", bad_features, EACH_DEVICE, false},
    {"config_abuse", config_abuse, EACH_DEVICE, false},
    {"register_noise", register_noise, ONCE, true},
    {"notify_storm", notify_storm, EACH_DEVICE, false},
    {"reset_storm", reset_storm, EACH_DEVICE, false},
    {"reset_in_flight", reset_in_flight, EACH_DEVICE, false},
    {"changed_meanwhile", changed_meanwhile, EACH_DEVICE, true},
    {"end_in_flight", end_in_flight, EACH_DEVICE, false},
    {"bad_requests", bad_requests, EACH_DEVICE, true},
    {"random_requests", random_requests, EACH_DEVICE, true},
    {"bad_shares", bad_shares, EACH_DEVICE, false},
    {"random_shares", random_shares, EACH_DEVICE, false},
    {"unmapped_memory", unmapped_memory, ONCE, false},
    {"odd_ports", odd_ports, ONCE, false},
};
const uint32_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

void run_scenario(const struct hardware* hardware, struct order* order) {
  struct world world = {hardware, order, ARENA_START, 1 + order->scenario * 97 + order->victim, 0};
  if (order->scenario < scenario_count) scenarios[order->scenario].run(&world, order->victim);
  order->finished = FINISHED;
}
