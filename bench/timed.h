// What the programs of bench/ in C measure with: begin(); work(); end("work", how_often) prints "work SECONDS
// HOW_OFTEN".
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double started;

static void must(int good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
static void begin(void) {
  started = now();
}
static void end(const char* name, long operations) {
  printf("%s %.6f %ld\n", name, now() - started, operations);
  fflush(stdout);
}
