// Everything the hostile guest tries. One scenario is one run of the kernel.
#pragma once

#include "hardware.h"

#ifdef __cplusplus
extern "C" {
#endif

enum scope { EACH_DEVICE, ONCE };

struct scenario {
  const char* name;
  void (*run)(struct world* world, uint32_t victim);
  enum scope scope;
  bool writes_anywhere;  // may have devices write to memory it never offered on purpose
};
extern const struct scenario scenarios[];
extern const uint32_t scenario_count;
#define HONEST_SCENARIO 0u  // nothing hostile: every device answers

// What the other processor does, until `*stop`.
void scribble(uint8_t* ram, const uint32_t* stop);
void run_scenario(const struct hardware* hardware, struct order* order);

void honest(struct world* world, uint32_t victim);
// rings.c: what the driver puts into memory
void bad_addresses(struct world* world, uint32_t victim);
void bad_chains(struct world* world, uint32_t victim);
void bad_indices(struct world* world, uint32_t victim);
void buffers_over_rings(struct world* world, uint32_t victim);
void rings_over_rings(struct world* world, uint32_t victim);
void all_queues_at_once(struct world* world, uint32_t victim);
// registers.c: what it writes to the device
void half_initialised(struct world* world, uint32_t victim);
void changes_after_activation(struct world* world, uint32_t victim);
void rings_outside_memory(struct world* world, uint32_t victim);
void bad_features(struct world* world, uint32_t victim);
void config_abuse(struct world* world, uint32_t victim);
void register_noise(struct world* world, uint32_t victim);
// storms.c: how often, and when
void notify_storm(struct world* world, uint32_t victim);
void reset_storm(struct world* world, uint32_t victim);
void reset_in_flight(struct world* world, uint32_t victim);
void changed_meanwhile(struct world* world, uint32_t victim);
void end_in_flight(struct world* world, uint32_t victim);
// requests.c: what the requests say
void bad_requests(struct world* world, uint32_t victim);
void random_requests(struct world* world, uint32_t victim);
// shares.c: what is asked of shared files
void bad_shares(struct world* world, uint32_t victim);
void random_shares(struct world* world, uint32_t victim);
// machine.c: what is not a device
void unmapped_memory(struct world* world, uint32_t victim);
void odd_ports(struct world* world, uint32_t victim);

#ifdef __cplusplus
}
#endif
