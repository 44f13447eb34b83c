// MSB_API marks what libmicrosandbox.so exports; everything else stays hidden.
#pragma once

#define MSB_API __attribute__((visibility("default")))
