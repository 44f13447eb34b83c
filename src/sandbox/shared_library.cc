// libmicrosandbox.so is msb_sandbox and what it needs, linked whole; this file only gives it a language.
#include <microsandbox/sandbox.h>
