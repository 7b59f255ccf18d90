# Completion of `fwsim run`, `fwsim sweep` and all others in fish: what is offered comes from `fwsim __complete WORD…`.
function __fwsim_offer
    set -l current (commandline -ct)
    set -l typed (commandline -opc) "$current"
    set -l program $typed[1]
    command -q $program; or functions -q $program; or test -x $program; or set program @PROGRAM@
    for line in ($program __complete $typed[2..] 2>/dev/null)
        switch $line
            case \x1ffiles
                set -l option (string match -r '^--[^=]*=' -- $current)
                for path in (__fish_complete_path (string replace -- "$option" '' "$current"))
                    echo "$option$path"
                end
            case '' \x1f'*'
            case '*'
                echo $line
        end
    end
end
complete -c fwsim -f -a '(__fwsim_offer)'
