"""Commands, each said to qemu-io and to libqed under its name: what comes back is the same."""

from pathlib import Path

import pytest

from support.both import Both

# Every group runs in one session per side, once from standard input and once from -c.
GROUPS = {
    "writing": """
        write 0 4k
        write -P 0xaa 0 4k
        write -P 0 0 512
        write -P 010 0 512
        write -P +5 0 1
        write -P0xaa 0 1
        write -qP0xaa 0 1
        write -P 1 -P 2 0 512
        write 1 4k
        write 0 5
        write 0 0
        write 1M 0
        write 1.5k 512
        write .5k 512
        write 5. 512
        write 0x200 0x200
        write 0 1K
        write 0 4b
        write 0 4B
        write 0 0.5k
        write -q 0 4k
        write -C 0 4k
        write -qC 0 4k
        write -p 0 4k
        write -f 0 4k
        write -r 0 4k
        write 0 4k -q
        write 0 -q 4k
        write -- 0 4k
        write  -P   1   0  512
        w 0 512
        write -s pattern 0 100
        write -s pattern 4000 300
        write -s pattern 0 0
        read -P 0xaa 0 1
        read -v 4000 300
    """,
    "writing what makes no sense": """
        write -P 0x1ff 0 512
        write -P 256 0 512
        write -P -1 0 512
        write -P foo 0 512
        write -P 10k 0 512
        write -P 5. 0 1
        write -P 08 0 1
        write -P 0x 0 1
        write -P 99999999999999999999 0 1
        write -P "1" 0 512
        write
        write 0
        write 0 1 2
        write foo 4k
        write 0 foo
        write -1 4k
        write 0 -1
        write 1M 512
        write 2M 512
        write 2M 0
        write 1023k 2k
        write 0 3G
        write 0 2G
        write 0 2147483136
        write 0 2147483648
        write 0 8E
        write 0 16E
        write 9E 512
        write 0 1T
        write 0 4kk
        write 0 0x
        write 0 0x10k
        write 0 1e3
        write 0 1.5
        write 0 1KB
        write "" 4k
        write '0' 512
        write - 1
        write 0 -
        write --q 0 1
        write -x 0 4k
        w -x 0 1
        w 0 1 2
        w 0
        write -P
        write -zP 1
        write 0 1 -P
        write 0 1 -- -q
        write 0 4k #x
        write 0 512; read 0 512
        write -n 0 4k
        write -u 0 4k
        write -n 0
        write -un 0 1
        write -b 0 4k
        write -b 1 4k
        write -b 0 5
        write -b -z 0 4k
        write -b -f 0 4k
        write -bc 0 4k
        write -c 0 64k
        write -c 5 4k
        write -c 5 3G
        write -c -f 0 64k
        write -nbf 0 1
        write -zr 0 512
        write -z -P 1 0 4k
        write -P 1 -s pattern 0 4k
        write -s pattern -z 0 4k
        write -zc -P 1 0 1
        write -s nofile 0 4k
        write -s nofile foo 1
        write -s nofile 0 3G
        write -s empty 0 4k
        write -s . 0 4k
        write -s -q 1
    """,
    "zeroes": """
        write -P 1 0 256k
        write -z 0 4k
        write -zu 0 64k
        write -zC 64k 4k
        write -zq 0 4k
        write -zf 0 512
        write -z 512 512
        write -z 100 200
        write -z -c 0 4k
        write -z 0 0
        write -z 1M 512
        write -z 2M 0
        write -z 0 2G
        write -n -z 0 2G
        read -P 0 0 64k
        read -P 0 64k 4k
        read -P 1 68k 188k
    """,
    "reading": """
        write -q -P 0xaa 0 4k
        read 0 4k
        read -P 0xaa 0 4k
        read -P 0xab 0 4k
        read -qP 0xab 0 4k
        read -P 0xaa 0 8k
        read -P 0xaa -s 4k 0 8k
        read -P 0xaa -l 4k 0 8k
        read -P 0xaa -s 1k -l 1k 0 8k
        read -P 0xab -l 0 0 4k
        read -P 0xaa -s 0 -l 0 0 4k
        read -P 0 0 0
        read -v 0 0
        read -v 0 32
        read -v 4080 64
        read -v 4090 20
        read -v 1 3
        read -Cv 0 16
        read -C 0 4k
        read -qv 0 16
        read 0 16 -C -v
        read -P 0xab -v 0 16
        read -p 0 4k
        read -r 0 4k
        read 1M 0
        read 1048575 1
        r 0 512
        write -q -P 0x41 0 1
        write -q -P 0x7a 1 1
        write -q -P 0x30 2 1
        write -q -P 0x20 3 1
        write -q -P 0xe9 4 1
        write -q -P 0x7f 5 1
        write -q -P 0x5f 6 1
        read -v 0 8
    """,
    "reading what makes no sense": """
        read
        read 0
        read 0 1 2
        read foo 1
        read 0 foo
        read -1 1
        read 0 -1
        read 1M 1
        read 2M 0
        read 1048577 0
        read 1048575 2
        read 0 2G
        read 0 2147483647
        read 0 7E
        read 7E 512
        read -b 0 4k
        read -b 5 512
        read -b 0 5
        read -bP 0 0 4k
        read -a 0 4k
        read -x 0 4k
        read -z 0 1
        read -n 0 1
        read -s
        read -s 1
        read -s 1k 0 8k
        read -l 1k 0 8k
        read -s 1 foo 1
        read -s 1 0 3G
        read -P 300 0 4k
        read -P x -z 0 1
        read -z -P x 0 1
        read -P -q 1
        read -P 0xaa -s 9k 0 8k
        read -P 0xaa -l 9k 0 8k
        read -P 0xaa -s 8k -l 512 0 8k
        read -P 0xaa -s 7k -l 2k 0 8k
        read -P 1 -s 5 0 foo
        read -P 1 -s 5 -b 0 3
        read -P 0xaa -s -1 0 8k
        read -P 0xaa -l -1 0 8k
        read -P 0xaa -s foo 0 8k
        read -P 0xaa -l foo 0 8k
    """,
    "vectors": """
        writev 0 4k
        writev -P 1 0 4k 4k
        writev -P 2 5 512
        writev 0 5
        writev 0 5 507
        writev 0 0
        writev -f 0 4k
        writev -C 0 4k
        writev -q 0 4k
        writev -r 0 4k
        writev -P 256 0 512
        writev -P 1 0 512 foo
        writev
        writev 0
        writev -q 0
        writev 0 foo
        writev 1M 512
        writev 1048064 512 1
        writev -z 0 4k
        readv 0 4k
        readv 0 4k 4k
        readv 0 512 0 512
        readv 0 0
        readv 1 512
        readv -P 0xcd 0 2k 2k
        readv -P 0xab 0 2k 2k
        readv -v 0 16 16
        readv -v 0 4 4
        readv -C 0 512
        readv -q 0 512
        readv -r 0 512
        readv -x 0 1
        readv
        readv 0
        readv -q 0
        readv 0 foo
        readv foo 1
        readv -1 1
        readv 0 -1
        readv -P 256 0 512
        readv -P 1 foo 2G
        readv 0 1G 1G
        readv 0 1G 1G 1
        readv 0 2G
        readv 0 2G foo
        readv 0 512 foo
        readv 1M 512
        readv 0 2147483136
    """,
    "in the background": """
        aio_write 0 4k
        aio_flush
        aio_write -P 3 0 4k 4k
        aio_flush
        aio_write -z 0 4k
        aio_flush
        aio_write -zu 64k 64k
        aio_flush
        aio_write -f 0 4k
        aio_flush
        aio_write -C 0 4k
        aio_flush
        aio_write -q 0 4k
        aio_flush
        aio_write 0 0
        aio_flush
        aio_write -z -P 1 0 5
        aio_flush
        aio_write 1M 512
        aio_flush
        aio_write -z 1M 512
        aio_flush
        aio_write -z 0 2G
        aio_flush
        aio_read 0 4k
        aio_flush
        aio_read -P 1 0 4k
        aio_flush
        aio_read -v 0 16
        aio_flush
        aio_read -P 1 -v 0 8 9
        aio_flush
        aio_read -C 0 16
        aio_flush
        aio_read -q 0 16
        aio_flush
        aio_read 0 0
        aio_flush
        aio_read 1M 512
        aio_flush
        aio_flush
        aio_flush 1
        aio_read
        aio_read 0
        aio_read -q 0
        aio_read foo 1
        aio_read 0 foo
        aio_read -i 0 512
        aio_read -i foo 1
        aio_read -x 0 512
        aio_read -P 300 0 1
        aio_read -1 512
        aio_read 0 2G
        aio_write
        aio_write 0
        aio_write -z 0
        aio_write -u 0
        aio_write foo 1
        aio_write 0 foo
        aio_write -u 0 4k
        aio_write -u foo 1
        aio_write -z 0 4k 4k
        aio_write -z foo 1 2
        aio_write -i 0 512
        aio_write -i -z 0 1 2
        aio_write -i 0 foo
        aio_write -x 0 1
        aio_write -z foo 1
        aio_write -z 0 foo
        aio_write -P 300 0 1
        aio_write 0 2G
        aio_write -z 0 -1
        aio_write -z -1 5
        aio_write -n 0 512
    """,
    "discarding": """
        discard 0 64k
        discard 0 0
        discard 1 512
        discard 0 5
        discard -C 0 64k
        discard -q 0 64k
        d 0 64k
        discard 0 1M
        discard 1M 0
        discard 0 2M
        discard 1M 512
        discard 2M 0
        discard 0
        discard
        discard 0 1 2
        discard foo 1
        discard 0 foo
        discard -1 1
        discard -x 0 1
        discard -q 0
        discard 0 3G
        discard 0 2G
    """,
    "looking": """
        length
        l
        length 1
        map
        map 1
        info
        i
        info 1
        write -q 64k 4k
        write -q 512k 64k
        write -q -z 512k 64k
        map
        alloc
        alloc 0
        alloc 64k
        alloc 0 1M
        alloc 0 2M
        alloc 60k 8k
        alloc 1M
        alloc 1M 0
        alloc 2M
        alloc foo
        alloc 0 foo
        alloc -1
        alloc -0
        alloc -5k
        alloc -foo
        alloc 0 -1
        alloc 0 5
        alloc 0 0
        alloc 0 1 2
        alloc 0x
        alloc 0xk
        alloc 0x1e
        alloc +.5k
        alloc 0.9999k
        alloc 0.1k
        alloc 0.0001k
        alloc 1.2345k
        alloc 1.0b
        alloc 1.b
        alloc .k
        alloc .
        alloc 1.1.1
        alloc 1e1
        alloc 1e+1
        alloc inf
        alloc nan
        alloc 1_0
        alloc 08
        alloc 0.99999999999999999999
        alloc 7.9999999E
        alloc 7.9999999999999999999E
        alloc 9223372036854775807
        alloc 9223372036854775808
        alloc 18446744073709551616
        alloc 0x7fffffffffffffff
        alloc 0xffffffffffffffff
        a
    """,
    "everything else": """
        flush
        f
        flush 1
        sleep 1
        sleep 0x1
        sleep 01
        sleep
        sleep foo
        sleep -1
        sleep -x
        sleep 1k
        sleep 1.5
        sleep 1 2
        sigraise
        sigraise foo
        sigraise 0
        sigraise 0x
        sigraise 1 2
        sigraise -1
        sigraise 1k
        sigraise 2G
        sigraise 999
        sigraise 65
        sigraise 66
        abort 1
        break
        break a b
        break write_aio t
        remove_break t
        remove_break
        resume t
        resume
        wait_break
        zone_report
        zone_report 0 1
        zone_report a 1
        zone_open 0 1
        zone_close 0 1
        zone_finish 0 1
        zone_reset 0 1
        zone_append 0 512
        zone_append 0 512 512
        truncate
        truncate foo
        truncate -1
        truncate -x 1
        truncate -m
        truncate -m foo 4M
        help
        help foo
        help read write
        help help
        help quit
        help q
        help map
        help zone_open
        h
        ?
        foo
        m
        rv 0 512
        "write" 0 512
        #write 0 512
        # x
        open
        open a.qed
        open -r
        open -x a.qed
        open -t
        open -t foo a.qed
        open -d foo a.qed
        open -i foo a.qed
        reopen
        reopen -r
        write 0 512
        writev 0 foo
        aio_write 0 512
        discard foo 1
        truncate foo
        write
        write foo
        reopen -w
        write 0 512
        reopen x
        reopen -x
        reopen -r -w
        reopen -r -r
        reopen -r foo
        reopen -c none
        reopen -c writethrough
        reopen -c unsafe
        reopen -c foo
        reopen -c foo bar
        reopen -o
        reopen -o foo=1
        reopen -o driver=qed
        reopen -o driver=raw
        reopen -o read-only=on -r
        reopen -c none -o cache.direct=on
        reopen -o cache.direct=on
        reopen -o cache.direct=foo
        reopen -o detect-zeroes=on
        reopen -o discard=unmap
        reopen -o discard=foo
        close 1
        close
        close
        length
        read 0 512
        map 1
        aio_flush
        open nofile
        open a.qed b.qed
        open -k a.qed
        open -U a.qed
        open -C -r a.qed
        open -r a.qed
        write 0 512
        read -P 0 512k 512
        c
        open -o driver=qed,file.filename=a.qed
        info
        close
        open -o driver=raw a.qed
        info
        close
        open -o driver=qed
        open -o driver=nosuch a.qed
        open -U -r a.qed
        length
        quit 1
        length
    """,
}


def lines(group: str) -> list[str]:
    return [line.strip() for line in GROUPS[group].splitlines() if line.strip()]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """Return both sides, each with the same image and pattern files."""
    both = Both(tmp_path)
    for side in (both.qemu, both.qed):
        both.qemu.run("qemu-img", "create", "-q", "-f", "qed", side.directory / "a.qed", "1M")
        (side.directory / "pattern").write_bytes(bytes(range(255)))
        (side.directory / "empty").touch()
    return both


@pytest.mark.parametrize("group", list(GROUPS))
def test_a_session_reads_the_same_as_qemu_ios(both: Both, group: str) -> None:
    # A trailing blank is part of the language: it is ignored.
    text = "".join(f"{line} \n" for line in lines(group))
    theirs = both.agree("qemu-io", "a.qed", stdin=text.encode())
    assert theirs.out.count("qemu-io> ") > len(lines(group)) * 9 // 10, "the session ended early"


@pytest.mark.parametrize("group", list(GROUPS))
def test_commands_of_the_command_line_end_the_same(both: Both, group: str) -> None:
    words = [word for line in lines(group) for word in ("-c", line)]
    theirs = both.agree("qemu-io", "-f", "qed", *words, "a.qed")
    assert theirs.out, "nothing is printed that could be compared"


@pytest.mark.parametrize(
    "line",
    [
        *("write 0 4k", "write 0", "write 0 foo", "read 2M 1", "read -P 1 0 1", "aio_read 2M 1"),
        *("foo", "quit", "q", "flush", "", " ", "\tlength", "length\r", "quit\n", "a\0b"),
    ],
)
def test_a_command_alone_ends_with_the_same_status(both: Both, line: str) -> None:
    both.agree("qemu-io", "a.qed", stdin=line.encode())
    if "\0" not in line:
        both.agree("qemu-io", "-c", line, "a.qed")
