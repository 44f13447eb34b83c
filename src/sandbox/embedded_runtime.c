// The guest's kernel and initramfs, and the program msb-kvm where there is one, as read-only data. Compiled only into msb; see state/runtime_files.h.
// The file names come from msb_embed_runtime() in embed.cmake.
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

#ifdef MSB_EMBED_KVM
__asm__(
    ".section .rodata.msb_runtime,\"a\",@progbits\n"
    ".balign 4096\n"
    ".hidden msb_embedded_kvm\n.globl msb_embedded_kvm\nmsb_embedded_kvm:\n"
    ".incbin " TEXT(MSB_EMBED_KVM) "\n"
    ".hidden msb_embedded_kvm_end\n.globl msb_embedded_kvm_end\nmsb_embedded_kvm_end:\n"
    ".previous\n");
#endif

__asm__(
    ".section .rodata.msb_runtime,\"a\",@progbits\n"
    ".balign 4096\n"
    ".hidden msb_embedded_kernel\n.globl msb_embedded_kernel\nmsb_embedded_kernel:\n"
    ".incbin " TEXT(MSB_EMBED_KERNEL) "\n"
    ".hidden msb_embedded_kernel_end\n.globl msb_embedded_kernel_end\nmsb_embedded_kernel_end:\n"
    ".balign 4096\n"
    ".hidden msb_embedded_initramfs\n.globl msb_embedded_initramfs\nmsb_embedded_initramfs:\n"
    ".incbin " TEXT(MSB_EMBED_INITRAMFS) "\n"
    ".hidden msb_embedded_initramfs_end\n.globl msb_embedded_initramfs_end\nmsb_embedded_initramfs_end:\n"
    ".hidden msb_embedded_hash\n.globl msb_embedded_hash\nmsb_embedded_hash:\n"
    ".incbin " TEXT(MSB_EMBED_HASH) "\n"
    ".byte 0\n"
    ".previous\n");
