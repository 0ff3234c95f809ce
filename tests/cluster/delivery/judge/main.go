// judge says what those who wait for resources make of them: kstatus, as Flux and Helm 4 have it, and Argo CD, whose health
// checks and actions are Lua.
//
//	judge health.lua < states.json                  a verdict for each object of the list
//	judge action discovery.lua NAME.lua < object.json   the actions, and the object after one
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
)

type verdict struct {
	Kstatus, KstatusMessage, Health, HealthMessage string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var answer any
	var err error
	switch {
	case len(args) == 1:
		answer, err = health(args[0])
	case len(args) == 3 && args[0] == "action":
		answer, err = action(args[1], args[2])
	default:
		err = fmt.Errorf("usage: judge health.lua | judge action discovery.lua NAME.lua")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// read takes whole numbers for what they are, as Kubernetes does.
func read(into any) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	return kubejson.Unmarshal(text, into)
}

func health(path string) (any, error) {
	var objects []any
	if err := read(&objects); err != nil {
		return nil, err
	}
	verdicts := []verdict{}
	for _, item := range objects {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%T is no object", item)
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			return nil, err
		}
		returned, err := call(path, object)
		if err != nil {
			return nil, err
		}
		argo, ok := returned.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s returned %T", path, returned)
		}
		verdicts = append(verdicts, verdict{
			Kstatus: result.Status.String(), KstatusMessage: result.Message,
			Health: fmt.Sprint(argo["status"]), HealthMessage: fmt.Sprint(argo["message"]),
		})
	}
	return verdicts, nil
}

func action(discovery, path string) (any, error) {
	var object map[string]any
	if err := read(&object); err != nil {
		return nil, err
	}
	actions, err := call(discovery, object)
	if err != nil {
		return nil, err
	}
	after, err := call(path, object)
	if err != nil {
		return nil, err
	}
	return map[string]any{"actions": actions, "object": after}, nil
}

// call runs a script as Argo CD does: with the object as obj, and without a way out of the interpreter but the time.
func call(path string, object map[string]any) (any, error) {
	script, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
		lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath, lua.OsLibName: openTime,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(string(script)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return fromLua(state.Get(-1)), nil
}

// openTime opens what Argo CD leaves of the library os.
func openTime(state *lua.LState) int {
	lua.OpenOs(state)
	full := state.Get(-1).(*lua.LTable)
	safe := state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, full.RawGetString(name))
	}
	state.SetGlobal("os", safe)
	state.Push(safe)
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	}
	return lua.LNil
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LString:
		return string(value)
	case lua.LNumber:
		return float64(value)
	case lua.LBool:
		return bool(value)
	case *lua.LTable:
		if value.Len() > 0 {
			items := []any{}
			value.ForEach(func(_, item lua.LValue) { items = append(items, fromLua(item)) })
			return items
		}
		fields := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { fields[key.String()] = fromLua(item) })
		return fields
	}
	return nil
}
