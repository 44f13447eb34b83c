// The PVH entry: 32-bit protected mode, flat segments, paging off, interrupts off.
        .section .note.Xen, "a", @note
        .align 4
        .long 4, 8, 18          // lengths of name and content; XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long entry, 0

        .section .text.entry, "ax", @progbits
        .globl entry
entry:
        cld
        movl $stack_end, %esp
        pushl %ebx              // start_info
        call kernel_main
        lidt no_interrupts      // an exception without a table: triple fault
        ud2

        .section .rodata
        .align 8
no_interrupts:
        .word 0
        .long 0

        .section .bss
        .align 16
        .skip 16384
stack_end:

        .section .note.GNU-stack, "", @progbits
