
# bash ends a word at each character of COMP_WORDBREAKS, `@`, `=` and `:` among them, which are parts of ours. So the words are
# those between spaces; and of what could come next bash is given what begins after the last `=` or `:`, or with the last `@`, which
# readline counts among its special prefixes. The rest is there already.
_partition_agent() {
    local line=${COMP_LINE:0:COMP_POINT} word last COMP_WORDS COMP_CWORD
    read -ra COMP_WORDS <<<"$line"
    [[ $line == *[[:space:]] ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    word=${COMP_WORDS[COMP_CWORD]}
    _clap_complete_partition_agent "$1" "$word" "$3"
    last=$word
    [[ $COMP_WORDBREAKS == *=* ]] && last=${last##*=}
    [[ $COMP_WORDBREAKS == *:* ]] && last=${last##*:}
    [[ $COMP_WORDBREAKS == *@* && $last == *@* ]] && last=@${last##*@}
    COMPREPLY=("${COMPREPLY[@]#"${word%"$last"}"}")
}
complete -o nospace -o bashdefault -F _partition_agent partition-agent
