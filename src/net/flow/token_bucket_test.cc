#include "net/flow/token_bucket.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

using namespace std::chrono_literals;
using Time = Bucket::Clock::time_point;

TEST(BucketTest, FullBucketPassesWhatItHoldsThenRefillsInItsTime) {
  Bucket bucket({.size = 1000, .refill_time = 1000ms}, Time());
  EXPECT_TRUE(bucket.take(1000, Time()));
  EXPECT_FALSE(bucket.take(1, Time()));
  EXPECT_FALSE(bucket.take(1, Time() + 500us));
  EXPECT_TRUE(bucket.take(500, Time() + 500ms));
  EXPECT_FALSE(bucket.take(1, Time() + 500ms));
}

TEST(BucketTest, WaitSaysWhenThereIsOneAgain) {
  Bucket bucket({.size = 1000, .refill_time = 1000ms}, Time());
  ASSERT_TRUE(bucket.take(1500, Time()));
  const auto wait = bucket.wait(Time());
  EXPECT_FALSE(bucket.take(1, Time() + wait - 1ms));
  EXPECT_TRUE(bucket.take(1, Time() + wait));
}

TEST(BucketTest, LargeFramePassesAndIsPaidBack) {
  Bucket bucket({.size = 100, .refill_time = 1000ms}, Time());
  EXPECT_TRUE(bucket.take(1100, Time()));
  EXPECT_FALSE(bucket.take(1, Time() + 10s));
  EXPECT_TRUE(bucket.take(1, Time() + 10s + 20ms));
}

TEST(BucketTest, BurstIsGivenOnce) {
  Bucket bucket({.size = 100, .refill_time = 1000ms, .one_time_burst = 50}, Time());
  EXPECT_TRUE(bucket.take(50, Time()));
  EXPECT_TRUE(bucket.take(100, Time()));
  EXPECT_FALSE(bucket.take(1, Time()));
  EXPECT_TRUE(bucket.take(100, Time() + 100s));
  EXPECT_FALSE(bucket.take(1, Time() + 100s));
}

TEST(RateGateTest, BothLimitsHold) {
  RateGate gate({.bandwidth = TokenBucket{.size = 10000, .refill_time = 1000ms},
                 .operations = TokenBucket{.size = 2, .refill_time = 1000ms}},
                Time());
  EXPECT_TRUE(gate.admit(10, Time()));
  EXPECT_TRUE(gate.admit(10, Time()));
  EXPECT_FALSE(gate.admit(10, Time()));
  EXPECT_EQ(gate.wait(Time()), 500ms + 1ns);
}

}  // namespace
}  // namespace msb::net
