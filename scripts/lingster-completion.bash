# Completion for bash: source this file, or let `make install` put it where bash looks for it.
# The names of commands and options come from the program itself (--completions).

_lingster()
{
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --completions 2>/dev/null) help --help --version" -- "$current")
        return
    fi
    if [ "${COMP_WORDS[1]}" = help ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --completions 2>/dev/null)" -- "$current")
        return
    fi
    # --name=value reaches here as three words.
    if [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    elif [ "$current" = = ]; then
        current=
    fi
    case $previous in
    --device | --against) mapfile -t COMPREPLY < <(compgen -W 'auto cpu cuda ref' -- "$current") ;;
    --preset) mapfile -t COMPREPLY < <(compgen -W 'tiny small base big base-prenorm deep-shallow' -- "$current") ;;
    --dtype | --against-dtype) mapfile -t COMPREPLY < <(compgen -W 'f32 bf16 int8' -- "$current") ;;
    --tokenize) mapfile -t COMPREPLY < <(compgen -W '13a char none' -- "$current") ;;
    --model-type) mapfile -t COMPREPLY < <(compgen -W 'unigram bpe char word symbols' -- "$current") ;;
    *)
        case $current in
        -*) mapfile -t COMPREPLY < <(compgen -W "$("$program" "${COMP_WORDS[1]}" --completions 2>/dev/null)" -- "$current") ;;
        *) compopt -o default ;;
        esac
        ;;
    esac
}
complete -F _lingster lingster
